"""How long a JSON Patch at its limit takes: 1,000 operations on 10,000 tracks, parsed and applied.

python -m benchmarks.json_patch
"""

import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from app.api.schemas import BODY_LIMIT
from app.domain.json_patch import OPERATIONS_LIMIT, JsonPatch
from app.domain.playlist import Playlist, PlaylistContent

TRACKS = 10_000

Patch = list[dict[str, Any]]


def patches(playlist: Playlist) -> dict[str, Patch]:
    """A patch of each operation where it costs most, and of whole lists as many as a body can hold."""
    last = TRACKS - 1
    whole = {"op": "test", "path": "/track_tokens", "value": list(playlist.track_tokens)}
    fitting = BODY_LIMIT // len(json.dumps(whole))
    one_each = {
        "add in first place": {"op": "add", "path": "/track_tokens/0", "value": "ALBUM_1/TRACK_1"},
        "remove the first": {"op": "remove", "path": "/track_tokens/0"},
        "replace the first": {"op": "replace", "path": "/track_tokens/0", "value": "ALBUM_1/TRACK_1"},
        "move the last to the front": {"op": "move", "from": f"/track_tokens/{last}", "path": "/track_tokens/0"},
        "copy the last to the front": {"op": "copy", "from": f"/track_tokens/{last}", "path": "/track_tokens/0"},
        "move all tracks onto themselves": {"op": "move", "from": "/track_tokens", "path": "/track_tokens"},
        "copy all tracks onto themselves": {"op": "copy", "from": "/track_tokens", "path": "/track_tokens"},
        "test one track": {"op": "test", "path": f"/track_tokens/{last}", "value": playlist.track_tokens[last]},
    }
    return {
        **{name: [operation] * OPERATIONS_LIMIT for name, operation in one_each.items()},
        f"test all tracks, {fitting} times": [whole] * fitting,
        f"replace all tracks, {fitting} times": [{**whole, "op": "replace"}] * fitting,
        "remove all and add none, in turn": [
            {"op": "remove", "path": "/track_tokens"},
            {"op": "add", "path": "/track_tokens", "value": []},
        ]
        * (OPERATIONS_LIMIT // 2),
    }


def parse_and_apply(document: Patch, playlist: Playlist) -> PlaylistContent:
    return JsonPatch.parse(document).apply(playlist)


def best_milliseconds(run: Callable[[], object]) -> float:
    times = []
    for _ in range(5):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times) * 1_000


def main() -> None:
    tracks = tuple(f"ALBUM_{n // 12:05}/TRACK_{n:06}" for n in range(TRACKS))
    playlist = Playlist(playlist_token="p", playlist_name="Long", playlist_version=1, track_tokens=tracks)
    print(f"{OPERATIONS_LIMIT:,} operations on {TRACKS:,} tracks, best of 5, in milliseconds")
    for name, document in patches(playlist).items():
        took = best_milliseconds(partial(parse_and_apply, document, playlist))
        print(f"{took:8.1f}  {name}")


if __name__ == "__main__":
    main()
