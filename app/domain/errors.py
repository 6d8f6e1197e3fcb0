"""What can go wrong, in the domain's words. Statuses live in app/api/problems.py.

PlaylistError
├── PlaylistNotFound
├── Forbidden                  the playlist is not the caller's to write
├── InvalidPlaylistToken       a token that no new playlist may have
├── InvalidChange              a change that is malformed, or adds what no playlist may have
├── IdempotencyKeyReused       the key came before, with another request
├── KeyedCountUnavailable      the table has no transactions, which a count with a key needs
├── PlaylistTooLarge           beyond DynamoDB's item limit
├── Conflict                   carries the current state, enough to merge and retry
│   ├── EditConflict           another writer got in between our read and our write
│   ├── VersionConflict        the version that the caller expects is not the current one
│   ├── PreconditionFailed     If-Match or If-None-Match does not hold
│   ├── PreconditionRequired   the caller named no state, and has to
│   ├── PlaylistExists         another writer created it first
│   ├── PatchNotApplicable     the current state does not allow an operation
│   ├── DuplicateTrack         a track is in the playlist already, and must not be twice
│   └── UnwritableItem         the stored version, or the play count, cannot be counted up
├── ReadOnlyRegion             writes of this global table are accepted in another Region
├── ListingUnavailable         the table has no index to list by
├── Throttled                  DynamoDB had no capacity; nothing was applied
├── StorageUnavailable         DynamoDB could not be asked; nothing was applied
├── OutcomeUnknown             DynamoDB went silent: the write may or may not have landed
└── TableNotReady              the table cannot serve requests now
"""

from collections.abc import Sequence

from app.domain.playlist import Playlist

# Of a request full of faults no more are told, nor looked for.
FAULTS_LISTED = 50


class PlaylistError(Exception):
    """The root. `str(error)` is one sentence for the person who gets it."""


class PlaylistNotFound(PlaylistError):
    def __init__(self, playlist_token: str) -> None:
        super().__init__(f"There is no playlist {playlist_token!r}.")


class Forbidden(PlaylistError):
    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason} This request has changed nothing.")


class InvalidPlaylistToken(PlaylistError):
    def __init__(self, fault: str) -> None:
        super().__init__(f"The playlist token {fault}.")


class InvalidChange(PlaylistError):
    """`faults` are pairs of a JSON Pointer into the request body and what is wrong there."""

    def __init__(self, faults: Sequence[tuple[str, str]]) -> None:
        super().__init__("The request body asks for something that is not allowed: see `errors`. Nothing was written.")
        self.faults = tuple(faults)

    def within(self, pointer: str) -> "InvalidChange":
        """The same faults, with pointers from the document that has this one at `pointer`."""
        return InvalidChange([(f"{pointer}{inner}", detail) for inner, detail in self.faults])


class IdempotencyKeyReused(PlaylistError):
    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key came with another request before. Nothing was written: use a new key for a new "
            "change, and send a repeat exactly as the first time."
        )


class KeyedCountUnavailable(PlaylistError):
    def __init__(self) -> None:
        super().__init__(
            "A play cannot be counted with an Idempotency-Key here: the table has no transactions (a global table "
            "with multi-Region strong consistency has none). Nothing was counted: count without a key."
        )


class PlaylistTooLarge(PlaylistError):
    """`size` and `limit` in bytes, by DynamoDB's own size rule; `size` is None if DynamoDB refused."""

    def __init__(self, *, size: int | None, limit: int) -> None:
        measured = "more" if size is None else f"{size:,} bytes"
        super().__init__(f"The playlist would take {measured}; a DynamoDB item holds {limit:,} bytes.")
        self.size = size
        self.limit = limit


class Conflict(PlaylistError):
    """`current` is the state that the write met, None if there is no such playlist.

    `read` is the state that the caller's change was made from; set only where the condition failed
    at the write. `expected_version` and `expected_entity_tag` are what the caller (or its read)
    took for current.
    """

    def __init__(
        self,
        detail: str,
        *,
        current: Playlist | None,
        expected_version: int | None = None,
        expected_entity_tag: str | None = None,
        read: Playlist | None = None,
    ) -> None:
        super().__init__(detail)
        self.current = current
        self.expected_version = expected_version
        self.expected_entity_tag = expected_entity_tag
        self.read = read


class EditConflict(Conflict):
    def __init__(self, *, current: Playlist, read: Playlist) -> None:
        super().__init__(
            "Another writer changed the playlist while this request was served. Nothing was written: "
            "merge your change into `current` and retry with `If-Match: <current_etag>`.",
            current=current,
            expected_version=read.playlist_version,
            expected_entity_tag=read.entity_tag,
            read=read,
        )


class VersionConflict(Conflict):
    pass


class PreconditionFailed(Conflict):
    pass


class PreconditionRequired(Conflict):
    pass


class PlaylistExists(Conflict):
    def __init__(self, *, current: Playlist | None) -> None:
        super().__init__(
            "Another writer created this playlist while this request was served. Nothing was written: "
            "merge your change into `current` and retry with `If-Match: <current_etag>`.",
            current=current,
        )


class PatchNotApplicable(Conflict):
    def __init__(self, operation: str, reason: str, *, current: Playlist) -> None:
        super().__init__(
            f"The playlist does not allow operation {operation}: {reason}. Nothing was written: "
            "make the change anew from `current` and send it with `If-Match: <current_etag>`.",
            current=current,
        )


class DuplicateTrack(Conflict):
    def __init__(self, track_token: str, *, current: Playlist) -> None:
        super().__init__(
            f"The playlist would have {track_token!r} twice. Nothing was written: leave out what is in `current`, "
            "or send `on_duplicate` as `skip` or `add`.",
            current=current,
        )


class UnwritableItem(Conflict):
    """`fault` says which stored attribute does not allow the write, and why."""

    def __init__(self, *, current: Playlist, fault: str) -> None:
        super().__init__(
            f"The stored {fault}. Nothing was written. Ask the operator of the table to repair the item.",
            current=current,
        )


class ReadOnlyRegion(PlaylistError):
    def __init__(self, *, region: str, write_region: str) -> None:
        super().__init__(
            f"In {region} playlists can only be read; they are written in {write_region}. "
            "Nothing was written: send the change to the service there."
        )


class ListingUnavailable(PlaylistError):
    def __init__(self) -> None:
        super().__init__(
            "Playlists cannot be listed: the table has no index for it, or one that is still being built. "
            "Everything else works."
        )


class Throttled(PlaylistError):
    def __init__(self) -> None:
        super().__init__("DynamoDB had no capacity for this request. Nothing was written: retry later.")


class StorageUnavailable(PlaylistError):
    """`cause` is for the operator's log, never for the client; `passing` says that a retry may help at once."""

    def __init__(self, cause: str, *, passing: bool = True) -> None:
        super().__init__("DynamoDB could not be reached or refused to serve. Nothing was written: retry later.")
        self.cause = cause
        self.passing = passing


class OutcomeUnknown(PlaylistError):
    """`cause` is for the operator's log, never for the client."""

    def __init__(
        self, cause: str, *, advice: str = "Read the playlist and compare before you repeat the change."
    ) -> None:
        super().__init__(f"DynamoDB's answer to the write was lost: it may or may not have been applied. {advice}")
        self.cause = cause


class TableNotReady(PlaylistError):
    """`reason` is for the operator who asks over HTTP, without addresses and accounts; `cause` for the log."""

    def __init__(self, reason: str, *, cause: str) -> None:
        super().__init__(reason)
        self.cause = cause
