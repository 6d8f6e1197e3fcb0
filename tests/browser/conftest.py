"""A real browser on `playlists dev`, and what it has to say about our pages."""

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.servers import running_playlists, without

# Long, because a busy machine is no fault of the page.
_PATIENCE_MILLISECONDS = 30_000
_NAMES = ("chromium", "chromium-browser", "google-chrome")
# What the policy forbids is told on the console, too, but not in every browser and for every directive.
_TELL_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`Content-Security-Policy: ${event.violatedDirective} forbids ${event.blockedURI}`));
"""
_REPORT = re.compile("Failed to load resource: (?:the server responded with a status of ([0-9]{3}) |net::ERR_FAILED)")


def chromium() -> str:
    """The path of this machine's Chromium. Raises RuntimeError with what to do if there is none."""
    for name in _NAMES:
        path = shutil.which(name)
        if path is not None:
            return path
    raise RuntimeError("no Chromium found: install one, as in `apt-get install chromium`, or put it into the PATH")


@dataclass
class Visit:
    """A page that is open, and what a test has asked it to fail in."""

    page: Page
    url: str
    # What the browser reports on the console: the status of each failure, 0 for an answer that never came.
    failures: list[int] = field(default_factory=list)
    _reported: list[int] = field(default_factory=list)
    _complaints: list[str] = field(default_factory=list)
    _elsewhere: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.add_init_script(_TELL_VIOLATIONS)
        self.page.on("console", self._listen)
        self.page.on("pageerror", lambda error: self._complaints.append(str(error)))
        self.page.on("request", lambda request: self._look_at(request.url))

    def open(self, path: str) -> Page:
        self.page.goto(self.url + path)
        return self.page

    def check(self) -> None:
        """Nothing but the expected failures is on the console, and no other host was asked."""
        assert not self._complaints
        assert sorted(self._reported) == sorted(self.failures)
        assert not self._elsewhere

    def _listen(self, message: ConsoleMessage) -> None:
        report = _REPORT.match(message.text)
        if report is not None:
            self._reported.append(int(report[1] or 0))
        elif message.type in ("error", "warning"):
            self._complaints.append(message.text)

    def _look_at(self, url: str) -> None:
        if not url.startswith((self.url + "/", "data:")):
            self._elsewhere.append(url)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=_PATIENCE_MILLISECONDS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium())
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def service() -> Iterator[str]:
    with running_playlists("dev", environment=without("AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL")) as served:
        yield served.url


Visiting = Callable[..., Visit]


@pytest.fixture
def visiting(browser: Browser, service: str) -> Iterator[Visiting]:
    """Opens pages of this service or another, with these options of the browser's; each is checked in the end."""
    visits: list[Visit] = []

    def visit(url: str = service, **options: Any) -> Visit:
        context = browser.new_context(**options)
        context.set_default_timeout(_PATIENCE_MILLISECONDS)
        visits.append(Visit(context.new_page(), url))
        return visits[-1]

    yield visit
    for visited in visits:
        visited.page.context.close()
        visited.check()


@pytest.fixture
def visit(visiting: Visiting) -> Visit:
    return visiting()
