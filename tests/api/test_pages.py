import hashlib
import re

import httpx2
import pytest

from app.api.problem_types import PROBLEM_TYPES
from tests.engines import PROJECT

SWAGGER_UI = PROJECT / "app" / "api" / "swagger_ui"
SUMS = {
    line.split()[1]: line.split()[0]
    for line in (SWAGGER_UI / "SHA256SUMS").read_text().splitlines()
    if not line.startswith("#")
}
OURS = {"SHA256SUMS", "index.html", "dark-mode.js", "start.js"}
PAGES = ("/", "/docs", "/problems", "/problems/edit-conflict")
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.fixture
async def browser(http: httpx2.AsyncClient) -> httpx2.AsyncClient:
    http.headers["Accept"] = BROWSER
    return http


@pytest.mark.parametrize("path", PAGES)
async def test_page_loads_from_this_service_alone(browser: httpx2.AsyncClient, path: str) -> None:
    page = await browser.get(path)

    assert page.status_code == 200
    assert "://" not in page.text
    links = re.findall('(?:src|href)="([^"#]+)"', page.text)
    assert links
    for link in links:
        assert (await browser.get(link)).status_code == 200, link


@pytest.mark.parametrize("path", [*PAGES, "/assets/demonstration.js", "/docs/assets/index.html", "/favicon.ico"])
async def test_pages_and_their_parts_are_bound_to_this_service(browser: httpx2.AsyncClient, path: str) -> None:
    page = await browser.get(path)

    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("path", PAGES)
async def test_page_has_no_inline_script_or_style(browser: httpx2.AsyncClient, path: str) -> None:
    page = await browser.get(path)

    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]* src=)", page.text)


def test_scripts_of_ours_write_what_they_get_as_text_alone() -> None:
    scripts = [*(PROJECT / "app" / "api" / "landing_page").glob("*.js"), SWAGGER_UI / "start.js"]

    assert len(scripts) > 1
    for script in scripts:
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", script.read_text())


async def test_page_of_problem_types_lists_them_all(http: httpx2.AsyncClient) -> None:
    page = await http.get("/problems")

    for code in PROBLEM_TYPES:
        assert f'id="{code}"' in page.text
    assert "<code>If-Match: &lt;current_etag&gt;</code>" in page.text
    assert "<!--" not in page.text


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (BROWSER, "text/html; charset=utf-8"),
        ("text/html", "text/html; charset=utf-8"),
        ("application/json", "application/json"),
        ("application/json;q=0.5, text/html;q=0.4", "application/json"),
        ("application/*", "application/json"),
        ("text/plain;q=0, text/html", "text/html; charset=utf-8"),
        ("text/plain, */*", "text/plain; charset=utf-8"),
        ("*/*", "text/plain; charset=utf-8"),
        ("image/png", "text/plain; charset=utf-8"),
        ("text/html;q=x", "text/html; charset=utf-8"),
        ("", "text/plain; charset=utf-8"),
    ],
)
async def test_problem_type_is_explained_in_the_form_that_is_asked_for(
    http: httpx2.AsyncClient, accept: str, media_type: str
) -> None:
    kind = PROBLEM_TYPES["outcome-unknown"]

    response = await http.get("/problems/outcome-unknown", headers={"Accept": accept})

    assert response.status_code == 200
    assert response.headers["content-type"] == media_type
    assert "Accept" in response.headers["vary"]
    for text in (kind.code, str(kind.status), kind.title, kind.explanation[:40]):
        assert text in response.text
    if media_type == "application/json":
        assert response.json() == {
            "code": kind.code,
            "status": kind.status,
            "title": kind.title,
            "explanation": kind.explanation,
        }


async def test_browsers_that_ask_for_an_icon_get_ours(http: httpx2.AsyncClient) -> None:
    icon = await http.get("/favicon.ico")

    assert icon.headers["content-type"] == "image/svg+xml"
    assert icon.content == (await http.get("/assets/icon.svg")).content


def test_copies_of_swagger_ui_are_the_released_ones() -> None:
    assert "swagger-ui-bundle.js" in SUMS
    assert {file.name for file in SWAGGER_UI.iterdir()} == set(SUMS) | OURS
    for name, digest in SUMS.items():
        assert hashlib.sha256((SWAGGER_UI / name).read_bytes()).hexdigest() == digest, name


def test_licence_of_swagger_ui_is_beside_it() -> None:
    assert "Apache License" in (SWAGGER_UI / "LICENSE").read_text()
