"""Who calls, and which playlists they may write."""

from dataclasses import dataclass

from app.domain.errors import Forbidden
from app.domain.playlist import Playlist


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whoever sent the request; `subject` is what the playlists that they create have as their owner.

    An admin writes every playlist. `writes_ownerless`: those that no one owns are theirs to write
    too (other programs made them, or put them anew without our attributes).
    """

    subject: str
    is_admin: bool = False
    writes_ownerless: bool = False

    def check_may_write(self, playlist: Playlist) -> None:
        """Raises Forbidden unless the playlist in this state is the caller's to write."""
        if self.is_admin:
            return
        if playlist.playlist_owner is None:
            if not self.writes_ownerless:
                raise Forbidden("The playlist has no owner, so only an admin may change it.")
        elif playlist.playlist_owner != self.subject:
            raise Forbidden("The playlist is another caller's: only its owner or an admin may change it.")


# Everyone, where there is no authentication.
ANONYMOUS = Caller(subject="anonymous", is_admin=True)
