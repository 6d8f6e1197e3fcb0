"""JSON Patch (RFC 6902) of a playlist: a change in up to 1,000 operations, all or nothing.

The document that is patched is the playlist as a GET shows it. `test` looks at any part of it and
`copy` takes from any; what can be changed is /playlist_name, /track_tokens and its elements.

No library: to tell what can never fit from what this state does not allow, to bound growth and to
say which operation failed is most of the work, and applying is the smaller rest. Python's jsonpatch,
the oracle in the tests, takes seconds where a patch copies a long list again and again.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from app.domain.errors import FAULTS_LISTED, InvalidChange, PatchNotApplicable, PlaylistTooLarge
from app.domain.playlist import (
    PLAYLIST_MEMBERS,
    PLAYLIST_SIZE_LIMIT,
    Playlist,
    PlaylistContent,
    playlist_name_fault,
    track_token_fault,
)

OPERATIONS = ("add", "remove", "replace", "move", "copy", "test")
OPERATIONS_LIMIT = 1_000
# Of the pointers of RFC 6901, those to something that a playlist can have. No name in it has a "~" or
# a "/", so that no escape leads to one. A longer index is beyond any item, and slow to convert.
POINTER_PATTERN = rf"^(?:/(?:{'|'.join(PLAYLIST_MEMBERS)})|/track_tokens/(?:0|[1-9][0-9]{{0,8}}|-))?$"

_POINTER = re.compile(POINTER_PATTERN.removesuffix("$"))
_CHANGEABLE = ("playlist_name", "track_tokens")


@dataclass(frozen=True, slots=True)
class Location:
    """What a JSON Pointer (RFC 6901) names: a member; a track; with no member the whole playlist.

    The index "-" is the end of the tracks, where nothing is yet.
    """

    pointer: str
    member: str | None = None
    index: int | Literal["-"] | None = None

    @classmethod
    def parse(cls, pointer: str) -> "Location | None":
        """None if it names nothing that a playlist can have."""
        if not _POINTER.fullmatch(pointer):
            return None
        match pointer.split("/")[1:]:
            case [member, "-"]:
                return cls(pointer, member, "-")
            case [member, index]:
                return cls(pointer, member, int(index))
            case [member]:
                return cls(pointer, member)
            case _:
                return cls(pointer)

    @property
    def is_changeable(self) -> bool:
        return self.member in _CHANGEABLE

    @property
    def is_track(self) -> bool:
        return self.index is not None

    @property
    def is_text(self) -> bool:
        return self.is_track or self.member not in (None, "playlist_version", "track_tokens", "track_count")


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation (RFC 6902 section 4); `source` is its `from`, its path where it has none."""

    op: str
    path: Location
    source: Location
    value: Any = None

    def __str__(self) -> str:
        return f'{self.op} "{self.path.pointer}"'


@dataclass(frozen=True, slots=True)
class JsonPatch:
    """A JSON Patch that may fit a playlist: `narrowed_to` is as in `track_token_fault`."""

    operations: tuple[Operation, ...]
    narrowed_to: re.Pattern[str] | None = None

    @classmethod
    def parse(cls, document: Any, *, narrowed_to: re.Pattern[str] | None = None) -> "JsonPatch":
        """Read a patch document, decoded from JSON.

        Members that RFC 6902 does not define are ignored, as its section 4 demands. Raises
        InvalidChange on what is wrong whatever the playlist is: the first fault of an operation, and no
        more than are listed.
        """
        if not isinstance(document, list):
            raise InvalidChange([("", "must be an array of operations")])
        if len(document) > OPERATIONS_LIMIT:
            raise InvalidChange([("", f"must have at most {OPERATIONS_LIMIT:,} operations, has {len(document):,}")])
        operations: list[Operation] = []
        faults: list[tuple[str, str]] = []
        for number, members in enumerate(document):
            try:
                operations.append(_operation(members))
            except InvalidChange as error:
                faults += error.within(f"/{number}").faults
        if faults:
            raise InvalidChange(faults[:FAULTS_LISTED])
        return cls(tuple(operations), narrowed_to)

    def apply(self, playlist: Playlist) -> PlaylistContent:
        """The content after all operations; `playlist` stays as it is.

        The name and the tracks that the playlist has already are not refused for their form, wherever the
        operations put them. What the result has more of has to be valid, however it came there. Raises
        PatchNotApplicable where this playlist does not allow an operation, InvalidChange where the result has
        something that is not valid or lacks a member, PlaylistTooLarge as soon as an operation outgrows a
        playlist's size.
        """
        document = _Document(playlist)
        for number, operation in enumerate(self.operations):
            try:
                self._apply(operation, document, f"/{number}")
            except _NotApplicable as reason:
                raise PatchNotApplicable(f"/{number} ({operation})", str(reason), current=playlist) from reason
        document.check_additions()
        self._check_complete(document)
        return PlaylistContent(document.members["playlist_name"], tuple(document.members["track_tokens"]))

    def _apply(self, operation: Operation, document: "_Document", pointer: str) -> None:
        path, source = operation.path, operation.source

        def add(value: Any, pointer: str) -> None:
            document.add(path, value)
            document.additions += _faults_of_addition(path, value, pointer, self.narrowed_to)

        match operation.op:
            case "test":
                if not _is_equal(document.read(path), operation.value):
                    raise _NotApplicable("there is another value")
            case "add":
                add(operation.value, f"{pointer}/value")
            case "remove":
                document.remove(path)
            case "replace":
                document.remove(path)
                add(operation.value, f"{pointer}/value")
            case "move" | "copy" if source == path and not path.is_track:
                document.read(path)  # A member onto itself: it has to be there, and stays.
            case "move" if source.is_track and path.is_track:
                document.put(path, document.take(source))
            case "move":
                add(document.remove(source), f"{pointer}/from")
            case "copy":
                if (copied := document.read(source)) is None:
                    raise InvalidChange([(f"{pointer}/from", "must name a string, and is null")])
                add(copied, f"{pointer}/from")

    def _check_complete(self, document: "_Document") -> None:
        last_removals = {
            operation.source.pointer: number
            for number, operation in enumerate(self.operations)
            if operation.op in ("remove", "move")
        }
        faults = [
            (f"/{last_removals[f'/{member}']}", f"must not remove /{member} unless a later operation adds it again")
            for member in _CHANGEABLE
            if member not in document.members
        ]
        if faults:
            raise InvalidChange(faults)


class _NotApplicable(Exception):
    """`str` says why the state does not allow an operation."""


@dataclass(frozen=True, slots=True)
class _Addition:
    """An invalid name or track that an operation has put in; `pointer` is to where the patch has it from."""

    value: str
    is_track: bool
    pointer: str
    fault: str


def _faults_of_addition(
    path: Location, value: str | list[str], pointer: str, narrowed_to: re.Pattern[str] | None
) -> Iterator[_Addition]:
    if isinstance(value, list):
        for index, track_token in enumerate(value):
            if fault := track_token_fault(track_token, narrowed_to=narrowed_to):
                yield _Addition(track_token, True, f"{pointer}/{index}", fault)
    elif fault := track_token_fault(value, narrowed_to=narrowed_to) if path.is_track else playlist_name_fault(value):
        yield _Addition(value, path.is_track, pointer, fault)


class _Document:
    """A playlist's JSON object while a patch is applied to it; `members` may lack some in between.

    `additions` are the invalid names and tracks that operations have put in.
    """

    def __init__(self, playlist: Playlist) -> None:
        self._before = playlist
        self.additions: list[_Addition] = []
        self.members: dict[str, Any] = {name: getattr(playlist, name) for name in PLAYLIST_MEMBERS}
        self.members["track_tokens"] = list(playlist.track_tokens)
        self._size = sum(_size(self.members[member]) for member in _CHANGEABLE)
        # What is there already fits: a string set takes less than the list that it is counted as.
        self._limit = max(PLAYLIST_SIZE_LIMIT, self._size)

    def check_additions(self) -> None:
        """Raises InvalidChange for those that the result has, and has more of than the playlist had."""
        if not self.additions:
            return
        excess = Counter(self.members.get("track_tokens", ()))
        excess.subtract(self._before.occurrences)
        faults: list[tuple[str, str]] = []
        for addition in reversed(self.additions):
            if addition.is_track:
                is_new = excess[addition.value] > 0
                excess[addition.value] -= 1
            else:
                is_new = self.members.get("playlist_name") == addition.value != self._before.playlist_name
            if is_new:
                faults.append((addition.pointer, addition.fault))
        if faults:
            raise InvalidChange(faults[::-1][:FAULTS_LISTED])

    def read(self, location: Location) -> Any:
        if location.member is None:
            return self.members
        value = self._member(location.member)
        if location.index is None:
            return value
        if location.index == "-" or location.index >= len(value):
            raise _NotApplicable(f"there are {len(value)} tracks, counted from 0")
        return value[location.index]

    def remove(self, location: Location) -> Any:
        removed = self.take(location)
        self._size -= _size(removed)
        return removed

    def add(self, location: Location, value: str | list[str]) -> None:
        if not location.is_track and location.member in self.members:
            self.remove(location)
        self.put(location, value)
        self._size += _size(value)
        # The item has more in it; the store counts that once it knows the result.
        if self._size > self._limit:
            raise PlaylistTooLarge(size=self._size, limit=PLAYLIST_SIZE_LIMIT)

    def take(self, location: Location) -> Any:
        """Remove what is put back at once, so that its size need not be counted."""
        taken = self.read(location)
        if location.index is None:
            del self.members[str(location.member)]
        else:
            del self.members["track_tokens"][location.index]
        return taken

    def put(self, location: Location, value: str | list[str]) -> None:
        if location.index is None:
            self.members[str(location.member)] = list(value) if isinstance(value, list) else value
            return
        tracks = self._member("track_tokens")
        index = len(tracks) if location.index == "-" else location.index
        if index > len(tracks):
            raise _NotApplicable(f"there are {len(tracks)} tracks, counted from 0")
        tracks.insert(index, value)

    def _member(self, name: str) -> Any:
        if name not in self.members:
            raise _NotApplicable(f"an earlier operation has removed /{name}")
        return self.members[name]


def _operation(members: Any) -> Operation:
    """Raises InvalidChange with pointers into the operation."""
    if not isinstance(members, dict):
        raise InvalidChange([("", "must be an object")])
    op = members.get("op")
    if op not in OPERATIONS:
        raise InvalidChange([("/op", f"must be one of {', '.join(OPERATIONS)}")])
    path = _location(members, "path", changes=op != "test", may_be_end=op in ("add", "move", "copy"))
    if op in ("add", "replace", "test"):
        if "value" not in members:
            raise InvalidChange([("/value", "must be there")])
        if op != "test":
            _check_type(path, members["value"])
        return Operation(op, path, path, members["value"])
    if op in ("move", "copy"):
        source = _location(members, "from", changes=op == "move", may_be_end=False)
        if source != path and not (source.is_text and path.is_text):
            raise InvalidChange([("/from", f"must name something that can stand at {path.pointer}")])
        return Operation(op, path, source)
    return Operation(op, path, path)


def _location(members: dict[str, Any], name: str, *, changes: bool, may_be_end: bool) -> Location:
    pointer = members.get(name)
    location = Location.parse(pointer) if isinstance(pointer, str) else None
    if location is None:
        raise InvalidChange([(f"/{name}", "must be a JSON Pointer to a part of a playlist, as in /track_tokens/0")])
    if changes and not location.is_changeable:
        raise InvalidChange([(f"/{name}", "must be /playlist_name, /track_tokens or in it: all else is read-only")])
    if location.index == "-" and not may_be_end:
        raise InvalidChange([(f"/{name}", "must name a track that is there; - is the end, where there is none")])
    return location


def _check_type(location: Location, value: Any) -> None:
    """Raises InvalidChange if the value is of a type that must not stand there."""
    if location.is_track or location.member != "track_tokens":
        faults = [] if isinstance(value, str) else [("/value", "must be a string")]
    elif isinstance(value, list):
        faults = [
            (f"/value/{index}", "must be a string")
            for index, element in enumerate(value)
            if not isinstance(element, str)
        ]
    else:
        faults = [("/value", "must be an array of track tokens")]
    if faults:
        raise InvalidChange(faults[:FAULTS_LISTED])


def _is_equal(ours: Any, value: Any) -> bool:
    """Equality of RFC 6902 section 4.6 between a part of a playlist and any JSON value."""
    if isinstance(ours, dict) and isinstance(value, dict):
        return ours.keys() == value.keys() and all(_is_equal(ours[name], value[name]) for name in ours)
    # Nothing in a playlist is a Boolean, but Python takes True for 1, as in a version.
    return not isinstance(value, bool) and bool(ours == value)


def _size(value: str | list[str]) -> int:
    """Bytes of the text or texts, and by DynamoDB's rule one more for each element of a list."""
    return 1 + len(value.encode()) if isinstance(value, str) else sum(map(_size, value))
