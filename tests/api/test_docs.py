import hashlib

import httpx2
import pytest

from tests.engines import PROJECT

# Of npm's swagger-ui-dist 5.35.0.
CHECKSUMS = {
    "swagger-ui-bundle.js": "e6a898692f2d768e807c3ba4626068a69a2c5dd960dd6c76f3e4d3a3de180af2",
    "swagger-ui.css": "5ed08757e53da3e026d6cbecc61fe5d43585c9560b302d534ad56692519a273d",
}


async def test_docs_page_loads_from_this_service_alone(http: httpx2.AsyncClient) -> None:
    page = await http.get("/docs")

    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "http" not in page.text.replace("http-equiv", "")
    for asset in ("swagger-ui-bundle.js", "swagger-ui.css", "start.js", "favicon-32x32.png"):
        assert f"/docs/assets/{asset}" in page.text
        assert (await http.get(f"/docs/assets/{asset}")).status_code == 200


async def test_root_leads_to_the_docs_page(http: httpx2.AsyncClient) -> None:
    assert (await http.get("/", follow_redirects=True)).url.path == "/docs"


@pytest.mark.parametrize("name", CHECKSUMS)
def test_copies_of_swagger_ui_are_the_released_ones(name: str) -> None:
    copy = PROJECT / "app" / "api" / "swagger_ui" / name

    assert hashlib.sha256(copy.read_bytes()).hexdigest() == CHECKSUMS[name]


def test_licence_of_swagger_ui_is_beside_it() -> None:
    assert "Apache License" in (PROJECT / "app" / "api" / "swagger_ui" / "LICENSE").read_text()
