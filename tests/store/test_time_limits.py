"""Time limits, which have to do what asyncio's do."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from app.store.time_limits import TimeLimit, Timer

SOON_SECONDS = 0.05
# What is awaited is never there, so it takes this long only where a limit is not kept.
HANG_SECONDS = 30.0

Limit = Callable[[float], AbstractAsyncContextManager[Any]]


def in_seconds(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


@pytest.fixture(params=["ours", "asyncio's"])
def limit_at(request: pytest.FixtureRequest) -> Limit:
    """A block's limit, of both kinds."""
    timer = Timer()

    @asynccontextmanager
    async def ours(when: float) -> Any:
        with TimeLimit(when, timer):
            yield

    return ours if request.param == "ours" else asyncio.timeout_at


@pytest.mark.asyncio(loop_scope="function")
async def test_block_past_its_limit_raises_timeout_error_and_its_task_goes_on(limit_at: Limit) -> None:
    began = in_seconds(0)

    with pytest.raises(TimeoutError):
        async with limit_at(began + SOON_SECONDS):
            await asyncio.sleep(HANG_SECONDS)

    assert began + 0.9 * SOON_SECONDS <= in_seconds(0) < began + HANG_SECONDS / 2
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)


@pytest.mark.asyncio(loop_scope="function")
async def test_limit_that_is_past_already_ends_the_block_where_it_first_waits(limit_at: Limit) -> None:
    with pytest.raises(TimeoutError):
        async with limit_at(in_seconds(-1)):
            await asyncio.sleep(HANG_SECONDS)


@pytest.mark.asyncio(loop_scope="function")
async def test_each_block_ends_at_its_own_limit_whichever_began_first() -> None:
    timer, ended = Timer(), []

    async def hang(seconds: float) -> None:
        with pytest.raises(TimeoutError), TimeLimit(in_seconds(seconds), timer):
            await asyncio.sleep(HANG_SECONDS)
        ended.append(seconds)

    later = [asyncio.create_task(hang(seconds)) for seconds in (0.3, 0.1, 0.2)]
    await asyncio.sleep(0)
    await asyncio.gather(*later, hang(0.05), hang(0.25))

    assert ended == [0.05, 0.1, 0.2, 0.25, 0.3]


@pytest.mark.asyncio(loop_scope="function")
async def test_block_within_its_limit_is_left_alone_while_the_timer_goes_on() -> None:
    timer = Timer()
    for _ in range(3):
        with TimeLimit(in_seconds(SOON_SECONDS), timer):
            await asyncio.sleep(0)
    await asyncio.sleep(2 * SOON_SECONDS)

    with pytest.raises(TimeoutError), TimeLimit(in_seconds(SOON_SECONDS), timer):
        await asyncio.sleep(HANG_SECONDS)


@pytest.mark.asyncio(loop_scope="function")
async def test_error_and_answer_of_the_block_pass(limit_at: Limit) -> None:
    with pytest.raises(ValueError, match="of the block"):
        async with limit_at(in_seconds(HANG_SECONDS)):
            raise ValueError("of the block")
    # Without a wait after it, a limit that was reached interrupts nothing.
    async with limit_at(in_seconds(-1)):
        pass


@pytest.mark.asyncio(loop_scope="function")
async def test_cancellation_by_others_is_no_timeout(limit_at: Limit) -> None:
    async def hang() -> None:
        async with limit_at(in_seconds(HANG_SECONDS)):
            await asyncio.sleep(HANG_SECONDS)

    task = asyncio.create_task(hang())
    await asyncio.sleep(0.01)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.asyncio(loop_scope="function")
async def test_limit_and_cancellation_before_the_task_runs_again_are_a_cancellation(limit_at: Limit) -> None:
    async def hang() -> None:
        async with limit_at(when):
            await asyncio.sleep(HANG_SECONDS)

    when = in_seconds(SOON_SECONDS)
    task = asyncio.create_task(hang())
    await asyncio.sleep(0.01)
    # Both are asked for, whichever is first, before the task's next step.
    asyncio.get_running_loop().call_at(when, task.cancel)

    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.asyncio(loop_scope="function")
async def test_inner_limit_leaves_the_outer_one_to_its_block(limit_at: Limit) -> None:
    ended = []

    async def hang() -> None:
        try:
            async with limit_at(in_seconds(SOON_SECONDS)):
                await asyncio.sleep(HANG_SECONDS)
        except TimeoutError:
            ended.append("inner")
        await asyncio.sleep(HANG_SECONDS)

    with pytest.raises(TimeoutError):
        async with limit_at(in_seconds(2 * SOON_SECONDS)):
            await hang()
    assert ended == ["inner"]


def test_timer_that_was_left_on_a_closed_loop_rings_on_the_next_one() -> None:
    timer = Timer()

    async def answered() -> None:
        with TimeLimit(in_seconds(SOON_SECONDS), timer):
            await asyncio.sleep(0)

    async def hang() -> None:
        with pytest.raises(TimeoutError), TimeLimit(in_seconds(2 * SOON_SECONDS), timer):
            await asyncio.sleep(HANG_SECONDS)

    asyncio.run(answered())
    asyncio.run(hang())
