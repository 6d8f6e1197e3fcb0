import pytest

from app.domain.access import ANONYMOUS, Caller
from app.domain.errors import Forbidden
from app.domain.playlist import Playlist


def owned_by(owner: str | None) -> Playlist:
    return Playlist(
        playlist_token="p1",
        playlist_name="P",
        playlist_version=1,
        track_tokens=(),
        track_count=0,
        playlist_owner=owner,
    )


ALICE = Caller(subject="alice")
ADMIN = Caller(subject="root", is_admin=True)
LENIENT = Caller(subject="alice", writes_ownerless=True)


@pytest.mark.parametrize(
    ("caller", "owner"),
    [(ALICE, "alice"), (ADMIN, "alice"), (ADMIN, None), (LENIENT, None), (LENIENT, "alice"), (ANONYMOUS, "alice")],
)
def test_caller_may_write(caller: Caller, owner: str | None) -> None:
    assert caller.check_may_write(owned_by(owner)) is None  # type: ignore[func-returns-value]


@pytest.mark.parametrize(
    ("caller", "owner"), [(ALICE, "bob"), (ALICE, "Alice"), (ALICE, ""), (ALICE, None), (LENIENT, "bob"), (LENIENT, "")]
)
def test_caller_may_not_write(caller: Caller, owner: str | None) -> None:
    with pytest.raises(Forbidden, match="admin may change it"):
        caller.check_may_write(owned_by(owner))


def test_refusal_names_no_owner() -> None:
    with pytest.raises(Forbidden) as refusal:
        ALICE.check_may_write(owned_by("bob"))

    assert "bob" not in str(refusal.value)
