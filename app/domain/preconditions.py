"""Preconditions: what a client says it knows of the state that it is about to change."""

import re
from dataclasses import dataclass, replace

from app.domain.errors import Conflict, PreconditionFailed, PreconditionRequired, VersionConflict
from app.domain.playlist import Playlist

# RFC 9110 section 8.8.3: entity-tag = [ "W/" ] DQUOTE *etagc DQUOTE
_ENTITY_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
# RFC 9110 section 5.6.1: a recipient takes empty list elements.
ENTITY_TAGS_PATTERN = rf"^(?:\*|[ \t,]*{_ENTITY_TAG}(?:[ \t]*,(?:[ \t]*,)*[ \t]*{_ENTITY_TAG})*[ \t,]*)$"
_FIELD_VALUE = re.compile(ENTITY_TAGS_PATTERN.removesuffix("$"))
_MEMBER = re.compile(_ENTITY_TAG)


_MERGE = "Nothing was written: merge your change into `current` and retry with `If-Match: <current_etag>`."
_ALTERED = (
    "If-Match has the current entity-tag as {tag}, which is how a proxy alters it that compresses answers. It takes a "
    "tag only as this service sent it (RFC 9110 section 13.1.1)."
)
_SEND_AS_SENT = (
    "Nothing was written: send `If-Match: <current_etag>`, and set the proxy to leave ETag alone, or not to compress."
)


class MalformedEntityTags(ValueError):
    """A field value that is neither `*` nor a list of entity-tags."""


@dataclass(frozen=True, slots=True)
class EntityTags:
    """The value of If-Match or If-None-Match: `tags` as sent, or `any` for `*`."""

    tags: tuple[str, ...] = ()
    any: bool = False

    @classmethod
    def parse(cls, field_value: str) -> "EntityTags":
        """Read a field value (RFC 9110 sections 13.1.1 and 13.1.2); several lines joined by a comma.

        Raises MalformedEntityTags.
        """
        field_value = field_value.strip(" \t")
        if not _FIELD_VALUE.fullmatch(field_value):
            raise MalformedEntityTags(field_value)
        if field_value == "*":
            return cls(any=True)
        return cls(tags=tuple(_MEMBER.findall(field_value)))

    def match_strongly(self, current: Playlist | None) -> bool:
        """Strong comparison (RFC 9110 section 8.8.3.2): a weak tag equals nothing."""
        if current is None:
            return False
        return self.any or current.entity_tag in self.tags

    def match_weakly(self, current: Playlist | None) -> bool:
        """Weak comparison: tags are equal whether or not they are marked weak."""
        if current is None:
            return False
        return self.any or any(tag.removeprefix("W/") == current.entity_tag for tag in self.tags)

    def altered_tag_of(self, current: Playlist | None) -> str | None:
        """The tag that is the current one as a compressing proxy alters it: made weak, or with a suffix.

        `W/"1-a-b"`, `"1-a-b-gzip"`. None where there is none.
        """
        if current is None:
            return None
        unclosed = current.entity_tag[:-1]
        altered = (tag for tag in self.tags if tag.removeprefix("W/").startswith(unclosed))
        return next((tag for tag in altered if tag != current.entity_tag), None)

    def __str__(self) -> str:
        return "*" if self.any else ", ".join(self.tags)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preconditions:
    """All that a request demands of the current state; `required` demands that it demands something."""

    if_match: EntityTags | None = None
    if_none_match: EntityTags | None = None
    expected_version: int | None = None
    required: bool = False

    @property
    def are_any(self) -> bool:
        """Whether the request names a state."""
        return self.if_match is not None or self.if_none_match is not None or self.expected_version is not None

    def expecting(self, version: int | None) -> "Preconditions":
        """The same demands, and that the current version is this one unless it is None."""
        return self if version is None else replace(self, expected_version=version)

    def optional(self) -> "Preconditions":
        """The same demands, and no demand that there be one."""
        return replace(self, required=False) if self.required else self

    def check(self, current: Playlist | None, *, read: Playlist | None = None) -> None:
        """Hold the demands against the current state, None where there is no playlist.

        `read` is what the change was made from, where `current` came from a failed write. Order
        after RFC 9110 section 13.2.2. Raises PreconditionFailed, VersionConflict,
        PreconditionRequired.
        """
        if self.if_match is not None and not self.if_match.match_strongly(current):
            if altered := self.if_match.altered_tag_of(current):
                raise self._conflict(PreconditionFailed, _ALTERED.format(tag=altered), current, read, _SEND_AS_SENT)
            raise self._conflict(PreconditionFailed, "If-Match does not name the current state.", current, read)
        if self.if_none_match is not None and self.if_none_match.match_weakly(current):
            raise self._conflict(PreconditionFailed, "If-None-Match names the current state.", current, read)
        if self.expected_version is not None and (current is None or current.playlist_version != self.expected_version):
            raise self._conflict(VersionConflict, "The playlist is not at the version that you expect.", current, read)
        if self.required and current is not None and self.if_match is None and self.expected_version is None:
            raise self._conflict(
                PreconditionRequired, "This service takes no write without a precondition.", current, read
            )

    def _conflict(
        self, kind: type[Conflict], what: str, current: Playlist | None, read: Playlist | None, then: str = _MERGE
    ) -> Conflict:
        if current is None:
            state, then = "There is no such playlist", "Nothing was written: create it, or let it be."
        elif current.playlist_version is None:
            state = "Its version is null"
        else:
            state = f"It is at version {current.playlist_version}"
        return kind(
            f"{what} {state}. {then}",
            current=current,
            expected_version=self.expected_version,
            expected_entity_tag=None if self.if_match is None else str(self.if_match),
            read=read,
        )


NO_PRECONDITIONS = Preconditions()
