from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from app.domain.times import date_and_time


@given(st.integers(0, 2**32))
def test_time_is_read_back_as_the_second_that_it_was_written_of(second: int) -> None:
    text = date_and_time(second)

    assert datetime.fromisoformat(f"{text}+00:00") == datetime.fromtimestamp(second, UTC)
    assert len(text) == len("2026-01-31T23:59:59")
