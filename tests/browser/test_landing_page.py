"""The landing page's demonstration of a conflict, by mouse and by keyboard, and for everyone."""

import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, Request, Route, expect

from tests.browser.conftest import Visit, Visiting
from tests.issuer import AUDIENCE, ISSUER, Issuer
from tests.servers import run_playlists, running_playlists, without

PHONE = {"width": 320, "height": 640}


def writer(page: Page, name: str) -> Locator:
    return page.get_by_role("article", name=name)


def name_of(page: Page, name: str) -> Locator:
    return writer(page, name).get_by_label("Name")


def tracks_of(page: Page, name: str) -> Locator:
    return writer(page, name).get_by_label("Tracks, one a line")


def press(page: Page, label: str) -> None:
    page.get_by_role("button", name=label).click()


def press_with_keyboard(page: Page, label: str) -> None:
    """Go to the button from where the focus is, by Tab alone, and press it."""
    button = page.get_by_role("button", name=label)
    for _ in range(40):
        if button.evaluate("button => button === document.activeElement"):
            break
        page.keyboard.press("Tab")
    expect(button).to_be_focused()
    assert button.evaluate("button => getComputedStyle(button).outlineStyle") == "solid"
    page.keyboard.press("Enter")


def brought_to_a_conflict(visit: Visit, press: Callable[[Page, str], None] = press) -> Page:
    """The page after Ann has saved and Ben was late."""
    visit.failures.append(412)
    page = visit.open("/")
    press(page, "Make a playlist and start")
    expect(writer(page, "Ben")).to_contain_text("loaded version 1")
    press(page, "Save Ann's change")
    expect(writer(page, "Ann").get_by_role("status")).to_have_text("Saved. The playlist is at version 2.")
    press(page, "Save Ben's change")
    expect(writer(page, "Ben").get_by_role("status")).to_contain_text("Conflict (412).")
    return page


def requests_of(page: Page) -> list[Request]:
    """All requests of the page to playlists, from now on."""
    sent: list[Request] = []
    page.on("request", lambda request: sent.append(request) if "/playlists" in request.url else None)
    return sent


def gone(page: Page, playlist: str) -> bool:
    """Whether there comes to be no such playlist: a page that was left is not there to be asked."""
    for _ in range(100):
        if page.request.get(playlist).status == 404:
            return True
        page.wait_for_timeout(100)
    return False


def problem(status: int, code: str) -> Callable[[Route], None]:
    """A handler that answers a request with such a problem."""
    body = {"title": f"Title of {code}", "status": status, "detail": "<b>Detail</b>", "code": code}

    def answer(route: Route) -> None:
        route.fulfill(status=status, content_type="application/problem+json", body=json.dumps(body))

    return answer


@pytest.mark.parametrize("hand", [press, press_with_keyboard], ids=["mouse", "keyboard"])
def test_late_writer_is_told_and_merges_with_one_click(visit: Visit, hand: Callable[[Page, str], None]) -> None:
    page = brought_to_a_conflict(visit, hand)
    conflict = writer(page, "Ben")
    expect(conflict).to_contain_text("Name: from “Morning Run” to “Road Trip”")
    expect(conflict).to_contain_text("Added: ALBUM_2/TRACK_7")

    hand(page, "Merge and save")

    expect(conflict.get_by_role("status")).to_have_text("Saved. The playlist is at version 3.")
    expect(conflict.get_by_role("status")).to_be_focused()
    hand(page, "Load anew for Ann")
    for name in ("Ann", "Ben"):
        expect(writer(page, name)).to_contain_text("loaded version 3")
        expect(name_of(page, name)).to_have_value("Road Trip")
        expect(tracks_of(page, name)).to_have_value("ALBUM_1/TRACK_1\nALBUM_1/TRACK_2\nALBUM_2/TRACK_7")
    hand(page, "Finish and delete the playlist")
    expect(page.get_by_text("The playlist is deleted.")).to_be_visible()


def test_both_changed_both_members_and_the_late_one_decides_on_the_name(visit: Visit) -> None:
    visit.failures.append(412)
    page = visit.open("/")
    press(page, "Make a playlist and start")
    tracks_of(page, "Ann").fill("ALBUM_1/TRACK_2\nALBUM_9/TRACK_9")
    name_of(page, "Ben").fill("Evening Run")
    press(page, "Save Ann's change")
    expect(writer(page, "Ann")).to_contain_text("loaded version 2")
    press(page, "Save Ben's change")

    press(page, "Merge, and call it “Road Trip”")

    expect(writer(page, "Ben")).to_contain_text("loaded version 3")
    expect(name_of(page, "Ben")).to_have_value("Road Trip")
    expect(tracks_of(page, "Ben")).to_have_value("ALBUM_1/TRACK_2\nALBUM_9/TRACK_9\nALBUM_2/TRACK_7")


@pytest.mark.parametrize("leave", ["press", "navigate"])
def test_demonstration_leaves_nothing_behind(visit: Visit, leave: str) -> None:
    page = visit.open("/")
    press(page, "Make a playlist and start")
    sent = requests_of(page)
    press(page, "Save Ann's change")
    expect(writer(page, "Ann")).to_contain_text("loaded version 2")
    playlist = sent[0].url

    if leave == "press":
        press(page, "Finish and delete the playlist")
        expect(page.get_by_text("The playlist is deleted.")).to_be_visible()
    else:
        visit.open("/problems")

    assert gone(page, playlist)


def test_it_writes_to_the_playlist_of_its_own_alone(visit: Visit) -> None:
    page = visit.open("/")
    sent = requests_of(page)

    press(page, "Make a playlist and start")
    press(page, "Save Ann's change")
    expect(writer(page, "Ann")).to_contain_text("loaded version 2")

    made, saved = sent
    assert (made.method, saved.method) == ("POST", "PATCH")
    assert saved.headers["if-match"].startswith('"1-')
    response = made.response()
    assert response is not None
    assert saved.url == visit.url + response.headers["location"]
    assert json.loads(saved.post_data or "") == {"playlist_name": "Road Trip"}


def test_lost_answer_is_asked_for_again_and_the_change_made_once(visit: Visit) -> None:
    page = visit.open("/")
    press(page, "Make a playlist and start")

    def lose_the_answer(route: Route) -> None:
        route.fetch()
        route.abort()

    page.route("**/playlists/*", lose_the_answer, times=1)
    visit.failures.append(0)
    press(page, "Save Ann's change")
    expect(writer(page, "Ann").get_by_role("status")).to_contain_text("No answer.")

    press(page, "Save Ann's change")

    expect(writer(page, "Ann").get_by_role("status")).to_have_text("Saved. The playlist is at version 2.")


def test_service_that_wants_a_token_is_given_the_one_that_the_visitor_enters(
    visiting: Visiting, endpoint_url: str, issuer: Issuer
) -> None:
    environment = without(
        AWS_ENDPOINT_URL_DYNAMODB=endpoint_url,
        PLAYLISTS_TABLE_NAME=f"music_items_{uuid4().hex}",
        PLAYLISTS_AUTH="jwt",
        PLAYLISTS_JWT_ISSUER=ISSUER,
        PLAYLISTS_JWT_AUDIENCE=AUDIENCE,
        PLAYLISTS_JWT_JWKS=issuer.url,
        PLAYLISTS_REQUIRE_PRECONDITION="true",
    )
    run_playlists("table", "create", environment=environment).check_returncode()
    with running_playlists("serve", environment=environment) as served:
        visit = visiting(served.url)
        visit.failures.append(401)
        page = visit.open("/")
        press(page, "Make a playlist and start")
        expect(page.get_by_label("Bearer token")).to_be_focused()

        page.keyboard.type(issuer.token())
        page.keyboard.press("Enter")
        press(page, "Save Ann's change")

        expect(writer(page, "Ann").get_by_role("status")).to_have_text("Saved. The playlist is at version 2.")
        expect(page.get_by_label("Bearer token")).to_be_hidden()
        assert page.evaluate("localStorage.length + sessionStorage.length") == 0
        press(page, "Finish and delete the playlist")
        expect(page.get_by_text("The playlist is deleted.")).to_be_visible()


def test_library_that_takes_other_tracks_only_is_shown_without(visit: Visit) -> None:
    visit.failures.append(422)
    page = visit.open("/")
    page.route("**/playlists", problem(422, "invalid-request"), times=1)

    press(page, "Make a playlist and start")

    expect(tracks_of(page, "Ann")).to_have_value("")


def test_what_the_service_answers_is_shown_as_text(visit: Visit) -> None:
    visit.failures.append(503)
    page = visit.open("/")
    press(page, "Make a playlist and start")
    name_of(page, "Ann").fill("<img src=x onerror=alert(1)>")
    press(page, "Save Ann's change")
    page.route("**/playlists/*", problem(503, "throttled"), times=1)
    press(page, "Save Ben's change")

    expect(writer(page, "Ben").get_by_role("status")).to_have_text("Title of throttled (503). <b>Detail</b>")
    expect(writer(page, "Ann").locator("pre")).to_contain_text("<img src=x onerror=alert(1)>")
    assert page.locator("main img, main b").count() == 0


def test_state_of_the_service_is_shown(visit: Visit) -> None:
    page = visit.open("/")
    expect(page.get_by_text("Ready: this service and its table answer")).to_be_visible()
    page.route("**/readyz", problem(503, "storage-unavailable"))
    visit.failures.append(503)

    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

    expect(page.get_by_text("Not ready: Title of storage-unavailable")).to_be_visible()


def test_service_that_is_throttled_is_shown_as_such(visit: Visit) -> None:
    visit.page.route("**/readyz", lambda route: route.fulfill(json={"status": "degraded"}))

    page = visit.open("/")

    expect(page.get_by_text("Ready, but DynamoDB throttles")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_keeps_anybody_from_using_it(visiting: Visiting, scheme: str) -> None:
    visit = visiting(color_scheme=scheme, reduced_motion="reduce")
    page = brought_to_a_conflict(visit)
    page.get_by_text("Ben's last request and its answer").click()

    found = [Axe().run(page), Axe().run(visit.open("/problems"))]

    assert not [report.generate_report() for report in found if report.violations_count]


def test_a_small_phone_shows_it_all_without_scrolling_sideways(visiting: Visiting) -> None:
    page = brought_to_a_conflict(visiting(viewport=PHONE))
    page.get_by_text("Ben's last request and its answer").click()

    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


@pytest.mark.parametrize(("motion", "behaviour"), [("no-preference", "smooth"), ("reduce", "auto")])
def test_who_wants_no_motion_gets_none(visiting: Visiting, motion: str, behaviour: str) -> None:
    page = visiting(reduced_motion=motion).open("/")

    assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == behaviour


@pytest.mark.parametrize(
    ("base", "theirs", "mine", "result"),
    [
        (["a", "b"], ["a"], ["a", "b", "c"], ["a", "c"]),
        (["a", "b"], ["a", "b", "c"], ["b"], ["b", "c"]),
        (["a", "a"], ["a", "a", "x"], ["a"], ["a", "x"]),
        (["a"], ["a", "x"], ["a", "x"], ["a", "x"]),
        (["a"], ["a", "x"], ["a", "x", "y"], ["a", "x", "y"]),
        (["a", "b"], ["a", "b"], ["b", "a"], ["b", "a"]),
    ],
)
def test_merge_of_tracks_keeps_what_both_did(
    visit: Visit, base: list[str], theirs: list[str], mine: list[str], result: list[str]
) -> None:
    page = visit.open("/")
    contents: list[Any] = [{"playlist_name": "n", "track_tokens": tracks} for tracks in (base, theirs, mine)]

    merged = page.evaluate(
        "async (contents) => (await import('/assets/merge.js')).merged(...contents).track_tokens", contents
    )

    assert merged == result
