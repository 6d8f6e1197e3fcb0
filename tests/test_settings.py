import pytest

from app.settings import InvalidSettings, Settings, load_settings
from tests.engines import PROJECT


def test_readme_lists_every_setting_with_its_default_in_order() -> None:
    rows = [line.split("|") for line in (PROJECT / "README.md").read_text().splitlines()]
    listed = [(row[1].strip(" `"), row[2].strip(" `")) for row in rows if row[1:] and "PLAYLISTS_" in row[1]]
    defaults = {
        f"PLAYLISTS_{name.upper()}": "" if field.is_required() or field.default is None else str(field.default).lower()
        for name, field in Settings.model_fields.items()
    }

    assert listed == list(defaults.items())


def test_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAYLISTS_AUTH", "none")
    monkeypatch.setenv("PLAYLISTS_TABLE_NAME", "mine")
    monkeypatch.setenv("PLAYLISTS_MAX_CONNECTIONS", "")

    settings = load_settings()

    assert (settings.table_name, settings.max_connections) == ("mine", 64)


def test_settings_are_frozen() -> None:
    settings = load_settings(auth="none")

    with pytest.raises(ValueError, match="frozen"):
        settings.table_name = "other"


TRUST = {"auth": "jwt", "jwt_issuer": "https://issuer.example", "jwt_audience": "ours"}


@pytest.mark.parametrize(
    "location",
    [
        "https://issuer.example/jwks.json?tenant=1",
        "http://127.0.0.1:8081/jwks.json",
        "http://127.9.9.9/jwks.json",
        "http://[::1]:8081/jwks.json",
        "http://localhost/jwks.json",
        "/etc/playlists/jwks.json",
        "jwks.json",
    ],
)
def test_key_set_is_at_an_https_url_on_this_machine_or_in_a_file(location: str) -> None:
    assert load_settings(**TRUST, jwt_jwks=location).jwt_jwks == location


@pytest.mark.parametrize(
    "location",
    [
        "http://issuer.example/jwks.json",
        "http://127.0.0.1.issuer.example/jwks.json",
        "http://localhost.issuer.example/jwks.json",
        "http://0.0.0.0/jwks.json",
        "http://10.0.0.1/jwks.json",
        "file:///etc/playlists/jwks.json",
        "ftp://issuer.example/jwks.json",
        "https://",
        "https://user:secret@issuer.example/jwks.json",
        "https://issuer.example/jwks.json#keys",
        "https://[issuer/jwks.json",
    ],
)
def test_key_set_anywhere_else_is_refused(location: str) -> None:
    with pytest.raises(InvalidSettings, match=r"^PLAYLISTS_JWT_JWKS="):
        load_settings(**TRUST, jwt_jwks=location)


def test_tokens_cannot_be_checked_without_issuer_audience_and_keys() -> None:
    with pytest.raises(InvalidSettings) as invalid:
        load_settings(auth="jwt")

    assert str(invalid.value).startswith("PLAYLISTS_JWT_ISSUER, PLAYLISTS_JWT_AUDIENCE, PLAYLISTS_JWT_JWKS not set")


def test_without_authentication_nothing_of_tokens_has_to_be_set() -> None:
    assert load_settings(auth="none").jwt_issuer is None
