"""Every operation of the docs page, executed as it stands there."""

import json
from collections.abc import Mapping
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import Visit, Visiting
from tests.engines import PROJECT

DOCUMENT: dict[str, Any] = json.loads((PROJECT / "openapi" / "openapi.json").read_text())
EXAMPLE = "/playlists/PLAYLIST_1"


def executions() -> list[Any]:
    """Each operation with each of its examples, from top to bottom, and the status that the document states."""
    found = []
    for operations in DOCUMENT["paths"].values():
        for operation in operations.values():
            content = operation.get("requestBody", {}).get("content", {})
            examples = [
                (media_type, name, int(example["summary"].rpartition(": ")[2]))
                for media_type, body in content.items()
                for name, example in body["examples"].items()
            ]
            success = next(int(status) for status in operation["responses"] if status.startswith("2"))
            for media_type, name, status in examples or [(None, None, success)]:
                identity = f"{operation['operationId']} {name or ''}".strip()
                found.append(pytest.param(operation, media_type, name, status, id=identity))
    return found


@pytest.fixture
def example_playlist(service: str) -> None:
    """The example playlist as `playlists dev` starts with it: renamed once."""
    tracks = {"track_tokens": ["ALBUM_1/TRACK_1", "ALBUM_1/TRACK_2", "ALBUM_3/TRACK_5"]}
    with httpx2.Client(base_url=service) as http:
        http.delete(EXAMPLE)
        http.put(EXAMPLE, json={"playlist_name": "Untitled", **tracks}).raise_for_status()
        http.patch(EXAMPLE, json={"playlist_name": "Morning Run"}).raise_for_status()


def opened(visit: Visit, operation: Mapping[str, Any]) -> Locator:
    """The operation's part of the docs page, unfolded."""
    page = visit.open("/docs")
    part = page.locator(f"#operations-{operation['tags'][0]}-{operation['operationId']}")
    part.locator(".opblock-summary-control").click()
    return part


# One after another on one service, as by somebody who goes through the page.
@pytest.mark.parametrize(("operation", "media_type", "example", "status"), executions())
def test_operation_answers_as_documented_when_executed_as_it_stands(
    visit: Visit, operation: Mapping[str, Any], media_type: str | None, example: str | None, status: int
) -> None:
    visit.failures += [status] * (status >= 400)
    part = opened(visit, operation)
    if media_type is not None:
        part.get_by_label("Request content type").select_option(media_type)
        chooser = part.locator(".opblock-section-request-body .examples-select-element")
        if chooser.count():
            chooser.select_option(example)

    part.get_by_role("button", name="Execute").click()

    answer = part.locator(".live-responses-table .response").first
    expect(answer.locator(".response-col_status")).to_contain_text(str(status))
    if status >= 400:
        expect(answer).to_contain_text('"code"')


@pytest.mark.usefixtures("example_playlist")
def test_stale_entity_tag_shows_the_current_playlist(visit: Visit) -> None:
    visit.failures += [412]
    part = opened(visit, DOCUMENT["paths"]["/playlists/{playlist_token}"]["patch"])
    part.get_by_placeholder("If-Match").fill('"1-AAAAAAAAAAAAAAAA"')

    part.get_by_role("button", name="Execute").click()

    answer = part.locator(".live-responses-table .response").first
    expect(answer.locator(".response-col_status")).to_contain_text("412")
    expect(answer).to_contain_text('"code": "precondition-failed"')
    expect(answer).to_contain_text('"playlist_name": "Morning Run"')


@pytest.mark.parametrize(("scheme", "is_dark"), [("light", False), ("dark", True)])
def test_colours_are_the_ones_that_the_reader_prefers(visiting: Visiting, scheme: str, is_dark: bool) -> None:
    page = visiting(color_scheme=scheme).open("/docs")
    expect(page.locator(".swagger-ui .info")).to_be_visible()

    background, ink = page.evaluate(
        "[getComputedStyle(document.body).backgroundColor,"
        " getComputedStyle(document.querySelector('.swagger-ui .info')).color]"
    )
    brightness = [sum(int(part) for part in colour.strip("rgba()").split(",")[:3]) for colour in (background, ink)]

    assert page.locator("html.dark-mode").count() == is_dark
    assert (brightness[0] < brightness[1]) == is_dark


def test_preference_that_changes_while_the_page_is_open_is_followed(visit: Visit) -> None:
    page = visit.open("/docs")

    page.emulate_media(color_scheme="dark")

    expect(page.locator("html.dark-mode")).to_have_count(1)


def test_titles_and_icons_are_ours(visit: Visit) -> None:
    for path, title in (("/docs", "API docs: Playlist service"), ("/", "Playlist service")):
        page = visit.open(path)

        expect(page).to_have_title(title)
        icon = page.locator("link[rel=icon]").get_attribute("href")
        assert page.request.get(f"{visit.url}{icon}").headers["content-type"] == "image/svg+xml"
