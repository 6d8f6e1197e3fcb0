import pytest

from app.settings import InvalidSettings, Settings, load_settings, warn_of_ignored_settings
from tests.engines import PROJECT
from tests.servers import service_links


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


@pytest.mark.parametrize(
    ("variable", "closest"),
    [
        ("PLAYLISTS_TABEL_NAME", "PLAYLISTS_TABLE_NAME"),
        ("PLAYLISTS_MAX_CONNECTION", "PLAYLISTS_MAX_CONNECTIONS"),
        ("playlists_auht", "PLAYLISTS_AUTH"),
        ("PLAYLISTS_DYNAMODB_TABLE", "PLAYLISTS_TABLE_NAME"),
        ("PLAYLISTS_TOKN", "PLAYLISTS_TOKEN"),
        # The one variable that is not read in any case.
        ("playlists_token", "PLAYLISTS_TOKEN"),
    ],
)
def test_unknown_variable_is_a_warning_with_the_closest_setting(
    caplog: pytest.LogCaptureFixture, variable: str, closest: str
) -> None:
    warn_of_ignored_settings({"PLAYLISTS_AUTH": "none", variable: "secret"})

    [warning] = caplog.messages
    assert warning.startswith(f"{variable} is ignored")
    assert warning.endswith(f" {closest}")


def test_variable_that_resembles_no_setting_is_a_warning_too(caplog: pytest.LogCaptureFixture) -> None:
    warn_of_ignored_settings({"PLAYLISTS_XYZ": "1", "PLAYLISTS_": "1"})

    assert [message.split(" ")[0] for message in caplog.messages] == ["PLAYLISTS_", "PLAYLISTS_XYZ"]


def test_removed_setting_is_a_warning_that_says_why(caplog: pytest.LogCaptureFixture) -> None:
    warn_of_ignored_settings({"PLAYLISTS_BASE_CACHE_MIB": "64"})

    [warning] = caplog.messages
    assert warning == (
        "PLAYLISTS_BASE_CACHE_MIB is ignored, because this setting was removed: every write starts from a fresh read"
    )


@pytest.mark.parametrize(
    "environment",
    [
        {f"PLAYLISTS_{name.upper()}": "1" for name in Settings.model_fields},
        {"playlists_table_name": "mine", "Playlists_Auth": "none", "PLAYLISTS_TOKEN": "secret"},
        {"PLAYLISTS_TABEL_NAME": ""},
        {"PLAYLIST_TABLE_NAME": "mine", "MY_PLAYLISTS_TABLE": "mine", "AWS_REGION": "eu-west-1"},
    ],
    ids=["every setting", "in any case", "empty", "of others"],
)
def test_variable_that_is_read_or_empty_or_of_others_is_no_warning(
    caplog: pytest.LogCaptureFixture, environment: dict[str, str]
) -> None:
    warn_of_ignored_settings(environment)

    assert not caplog.messages


@pytest.mark.parametrize("service", ["PLAYLISTS", "PLAYLISTS_CANARY"])
@pytest.mark.parametrize("port", ["8080_TCP", "53_UDP"])
def test_service_link_of_kubernetes_is_no_warning(caplog: pytest.LogCaptureFixture, service: str, port: str) -> None:
    warn_of_ignored_settings(service_links(service, port))

    assert not caplog.messages


def test_port_that_no_service_link_sets_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    warn_of_ignored_settings({"PLAYLISTS_PORT": "9000"})

    assert len(caplog.messages) == 1
