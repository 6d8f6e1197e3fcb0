"""The operations guide covers what there is, computes as DynamoDB does, and its links lead somewhere."""

import re
from pathlib import Path

import pytest

from app.api.problem_types import PROBLEM_TYPES
from app.domain.playlist import PlaylistContent
from app.settings import Settings
from app.store.items import RECENT_WRITES_KEPT, StoredPlaylist
from app.store.values import item_size
from tests.engines import PROJECT

GUIDE = (PROJECT / "docs/operations.md").read_text()
READ_UNIT, WRITE_UNIT, ITEM_WRITE_UNITS_A_SECOND = 4_096, 1_024, 1_000
LINKING = ["README.md", "CONTRIBUTING.md", "docs/operations.md", "docs/reliability.md", "docs/licences.md"]


def first_cells(section: str) -> list[str]:
    """What stands in code marks in the first cells of a section's tables."""
    [text] = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", GUIDE, re.MULTILINE | re.DOTALL)
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("|")]
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def test_every_problem_code_has_one_entry_in_the_runbook() -> None:
    codes = first_cells("Problems")

    assert sorted(codes) == sorted(PROBLEM_TYPES)


def test_every_setting_has_one_entry() -> None:
    listed = first_cells("Settings, and what they change")

    assert sorted(listed) == sorted(f"PLAYLISTS_{name.upper()}" for name in Settings.model_fields)


def playlist_of(tracks: int) -> StoredPlaylist:
    """A playlist with this many tracks and a full window, of the lengths that the guide names."""
    now, token = "2026-11-24T00:00:00.000Z", "w" * 16
    content = PlaylistContent("Morning Run", tuple(f"{track:016x}/{track:016x}" for track in range(tracks)))
    stored = StoredPlaylist.created("p" * 26, content, playlist_owner="o" * 30, write_token=token, written_at=now)
    for _ in range(RECENT_WRITES_KEPT):
        stored = stored.followed_by(stored.playlist.content, write_token=token, written_at=now)
    return stored


@pytest.mark.parametrize("tracks", [0, 20, 100, 1_000, 10_000])
def test_capacity_units_are_those_of_dynamodbs_rules(tracks: int) -> None:
    size = item_size(playlist_of(tracks).item)
    read, write = -(-size // READ_UNIT), -(-size // WRITE_UNIT)

    row = f"| {tracks:,} | {size:,} | {read} | {write} | {ITEM_WRITE_UNITS_A_SECOND // write:,} |"

    assert row in GUIDE.splitlines()


@pytest.mark.parametrize("document", LINKING)
def test_links_lead_to_files_and_headings_that_there_are(document: str) -> None:
    text = (PROJECT / document).read_text()
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not link.startswith(("http:", "https:"))]

    broken = [link for link in links if not leads_somewhere(PROJECT / document, link)]

    assert broken == []


def leads_somewhere(document: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = document.parent / path if path else document
    return target.exists() and (not anchor or anchor in anchors(target.read_text()))


def anchors(text: str) -> set[str]:
    """The anchors of a document's headings, as its readers make them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("link", ["nowhere.md", "#no-such-heading", "reliability.md#no-such-heading"])
def test_broken_link_is_found(link: str) -> None:
    assert not leads_somewhere(PROJECT / "docs/operations.md", link)
