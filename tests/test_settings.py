import pytest

from app.settings import Settings, load_settings
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
