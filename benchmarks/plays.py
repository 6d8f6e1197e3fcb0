"""What a hot playlist takes: plays a second on one counter, and spread over many.

`python -m benchmarks.plays` runs the service on DynamoDB Local, on the loopback, for a few seconds
a case. DynamoDB itself takes 1,000 write units a second on one item, whatever the service does: a
play is one unit, a play with an Idempotency-Key (a transaction) two.
"""

import asyncio
import os
import time
from contextlib import ExitStack

import httpx2

from app.store.client import open_patient_client
from app.store.embedded import point_sdk_at
from app.store.table import create_table
from tests.engines import DynamoDBLocal
from tests.servers import running_playlists

CLIENTS = 16
SECONDS = 5
PLAYLISTS = 64
ROUNDS = 3


async def main() -> None:
    with ExitStack() as processes:
        engine = DynamoDBLocal()
        processes.enter_context(engine.running())
        point_sdk_at(engine.url, os.environ)
        os.environ["PLAYLISTS_AUTH"] = "none"
        async with open_patient_client() as client:
            await create_table(client, "music_items")
        service = processes.enter_context(running_playlists("serve"))
        async with httpx2.AsyncClient(base_url=service.url, timeout=30) as http:
            for number in range(PLAYLISTS):
                await http.put(f"/playlists/p{number}", json={"playlist_name": "Mine", "track_tokens": []})
            for turn in range(ROUNDS):
                hot = await rate(http, playlists=1, keyed=False)
                spread = await rate(http, playlists=PLAYLISTS, keyed=False)
                keyed = await rate(http, playlists=1, keyed=True)
                print(
                    f"round {turn + 1}: {hot:.0f} plays/s on one playlist, {spread:.0f} spread over {PLAYLISTS} "
                    f"(ratio {hot / spread:.2f}), {keyed:.0f} with keys on one (ratio {keyed / hot:.2f})"
                )


async def rate(http: httpx2.AsyncClient, *, playlists: int, keyed: bool) -> float:
    """Plays a second that are answered 200; raises if any other answer comes."""
    until = time.monotonic() + SECONDS
    answered = 0

    async def play(number: int) -> None:
        nonlocal answered
        while time.monotonic() < until:
            headers = {"Idempotency-Key": f"{time.monotonic_ns()}-{number}"} if keyed else {}
            response = await http.post(f"/playlists/p{answered % playlists}/plays", headers=headers)
            response.raise_for_status()
            answered += 1

    await asyncio.gather(*(play(number) for number in range(CLIENTS)))
    return answered / SECONDS


if __name__ == "__main__":
    asyncio.run(main())
