"""Times as text, in UTC (RFC 3339 section 5.6)."""

from datetime import UTC, datetime
from functools import lru_cache


@lru_cache(maxsize=1)
def date_and_time(second: int) -> str:
    """A whole second since 1970 as `2026-01-31T23:59:59`, for a fraction and the offset to follow.

    Many times in a row are of one second.
    """
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
