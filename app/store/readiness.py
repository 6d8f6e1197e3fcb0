"""Whether requests can be served now."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Literal

from botocore.exceptions import ClientError

from app.domain.errors import StorageUnavailable, TableNotReady, Throttled
from app.store.dynamodb import CREDENTIALS_ERRORS, DynamoDBTable
from app.store.items import PLAYLIST_SORT_KEY

# No client can choose a token with a space.
_PROBE_TOKEN = "READINESS PROBE"
_REASONS = {
    "AccessDeniedException": "DynamoDB denies access to the table: the policy has to allow dynamodb:GetItem.",
    "ResourceNotFoundException": "There is no table of the name that is set: make it, or set PLAYLISTS_TABLE_NAME.",
}

Verdict = Literal["ready", "degraded"]


class Readiness:
    """Reads the table for all who ask, at most once in a second or so.

    A check raises the error that a request would be answered with while what it looks at is not there.
    """

    timeout_seconds = 2.0
    kept_seconds = 1.0

    def __init__(self, table: DynamoDBTable, *, checks: Sequence[Callable[[], None]] = ()) -> None:
        self._table = table
        self._checks = checks
        self._reading: asyncio.Task[Verdict] | None = None
        self._stale_at = 0.0

    async def verdict(self) -> Verdict:
        """Throttling is no reason to send requests elsewhere: the table is the same there.

        Raises TableNotReady, and what the checks raise.
        """
        for check in self._checks:
            check()
        now = asyncio.get_running_loop().time()
        if self._reading is None or (self._reading.done() and now >= self._stale_at):
            self._reading = asyncio.create_task(self._read())
        # Who asked may go away; the others wait on.
        return await asyncio.shield(self._reading)

    async def _read(self) -> Verdict:
        try:
            async with asyncio.timeout(self.timeout_seconds):
                await self._table.get_item(_PROBE_TOKEN, PLAYLIST_SORT_KEY)
        except Throttled:
            return "degraded"
        except StorageUnavailable as failure:
            raise TableNotReady(_reason(failure.__cause__), cause=failure.cause) from failure
        except TimeoutError as silence:
            reason = f"DynamoDB did not answer within {self.timeout_seconds:g} seconds."
            raise TableNotReady(reason, cause="no answer to a read") from silence
        finally:
            self._stale_at = asyncio.get_running_loop().time() + self.kept_seconds
        return "ready"


def _reason(cause: BaseException | None) -> str:
    if isinstance(cause, ClientError):
        code = cause.response["Error"]["Code"]
        return _REASONS.get(code, f"DynamoDB refused to serve ({code}).")
    if isinstance(cause, CREDENTIALS_ERRORS):
        return "The AWS credentials cannot be used."
    return "DynamoDB cannot be reached."
