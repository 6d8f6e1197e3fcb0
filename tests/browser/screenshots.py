"""Takes the README's pictures: `make screenshots`. Not part of any test, because fonts differ between machines."""

from pathlib import Path

from playwright.sync_api import FloatRect, Locator, Page, expect, sync_playwright

from tests.browser.conftest import chromium
from tests.engines import PROJECT
from tests.servers import running_playlists, without

FOLDER = PROJECT / "docs" / "screenshots"


def take(page: Page, url: str, folder: Path) -> None:
    """Write landing.png, conflict.png and docs.png, with the service at `url`."""
    page.goto(url)
    expect(page.get_by_text("Ready: this service and its table answer")).to_be_visible()
    page.screenshot(path=folder / "landing.png")

    page.get_by_role("button", name="Make a playlist and start").click()
    page.get_by_role("button", name="Save Ann's change").click()
    expect(page.get_by_text("The playlist is at version 2.")).to_be_visible()
    page.get_by_role("button", name="Save Ben's change").click()
    expect(page.get_by_role("button", name="Merge and save")).to_be_visible()
    page.get_by_role("heading", name="A conflict, live").click()  # Takes the focus from the button.
    page.screenshot(path=folder / "conflict.png", full_page=True, clip=_around(page.locator("#writers"), 12))

    page.set_viewport_size({"width": 1200, "height": 980})
    page.goto(f"{url}/docs")
    part = page.locator("#operations-playlists-edit_playlist")
    part.locator(".opblock-summary-control").click()
    part.locator(".opblock-section-request-body .examples-select-element").select_option("stale-rename")
    part.get_by_role("button", name="Execute").click()
    expect(part.locator(".live-responses-table .response .response-col_status")).to_contain_text("409")
    page.mouse.move(0, 0)
    part.get_by_role("button", name="Execute").evaluate(
        "button => scrollBy(0, button.getBoundingClientRect().top - 24)"
    )
    page.screenshot(path=folder / "docs.png")


def _around(element: Locator, margin: int) -> FloatRect:
    x, y, width, height = element.evaluate(
        "element => { const box = element.getBoundingClientRect();"
        " return [box.x + scrollX, box.y + scrollY, box.width, box.height]; }"
    )
    return {"x": x - margin, "y": y - margin, "width": width + 2 * margin, "height": height + 2 * margin}


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    environment = without("AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL")
    with running_playlists("dev", environment=environment) as served, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium())
        take(browser.new_page(viewport={"width": 1200, "height": 720}), served.url, FOLDER)
        browser.close()
