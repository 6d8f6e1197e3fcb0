"""The docs page of a service that asks for tokens."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit, Visiting
from tests.issuer import AUDIENCE, ISSUER, Issuer
from tests.servers import run_playlists, running_playlists, without


@pytest.fixture
def guarded(endpoint_url: str, issuer: Issuer) -> Iterator[str]:
    """The address of a service that trusts the issuer."""
    settings = {
        "PLAYLISTS_JWT_ISSUER": ISSUER,
        "PLAYLISTS_JWT_AUDIENCE": AUDIENCE,
        "PLAYLISTS_JWT_JWKS": issuer.url,
        "PLAYLISTS_TABLE_NAME": "authorized",
    }
    environment = without("PLAYLISTS_AUTH", **settings)
    run_playlists("table", "create", environment=environment)
    with running_playlists("serve", environment=environment) as served:
        yield served.url


def test_token_that_is_given_to_the_page_is_sent(visiting: Visiting, guarded: str, issuer: Issuer) -> None:
    visit: Visit = visiting()
    visit.url = guarded
    page = visit.open("/docs")
    part = page.locator("#operations-playlists-list_playlists")
    part.locator(".opblock-summary-control").click()
    status = part.locator(".live-responses-table .response .response-col_status").first
    visit.failures.append(401)

    part.get_by_role("button", name="Execute").click()
    expect(status).to_contain_text("401")
    page.locator(".scheme-container .authorize").click()
    page.get_by_label("auth-bearer-value").fill(issuer.token())
    page.locator(".modal-ux .auth.authorize").click()
    page.locator(".modal-ux .btn-done").click()
    part.get_by_role("button", name="Execute").click()

    expect(status).to_contain_text("200")
