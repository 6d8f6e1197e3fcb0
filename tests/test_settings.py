import pytest

from app.settings import Settings, load_settings
from tests.engines import PROJECT


def test_every_setting_is_in_the_readme_with_its_default() -> None:
    readme = (PROJECT / "README.md").read_text()

    for name, field in Settings.model_fields.items():
        default = "" if field.is_required() or field.default is None else str(field.default).lower()
        row = next(line for line in readme.splitlines() if line.startswith(f"| `PLAYLISTS_{name.upper()}`"))
        assert default in row


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
