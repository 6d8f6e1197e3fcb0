"""schemathesis against the service in a process of its own, on an engine: nothing may be found.

`python -m tests.fuzzing.run --seeds 1 2` runs all its phases with valid and invalid data
for each seed, on a table of its own with the example playlists. With every other seed the service
demands preconditions. Exits with 1 if anything was found.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from app.store.embedded import point_sdk_at
from tests.engines import PROJECT, engine
from tests.servers import running_playlists

HERE = Path(__file__).parent
SCHEMATHESIS = PROJECT / ".venv-contract" / "bin" / "schemathesis"


def fuzz(seed: int) -> bool:
    """Whether schemathesis found nothing."""
    environment = os.environ | {
        "PLAYLISTS_TABLE_NAME": f"fuzzed_{seed}",
        "PLAYLISTS_REQUIRE_PRECONDITION": str(seed % 2 == 0).lower(),
    }
    command: list[str | Path] = [SCHEMATHESIS, "--no-color", "--config-file", HERE / "schemathesis.toml"]
    options = ["--seed", str(seed), "--mode", "all"]
    with running_playlists("dev", environment=environment) as served:
        finished = subprocess.run(
            [*command, "run", f"{served.url}/openapi.json", *options],
            env=os.environ | {"SCHEMATHESIS_HOOKS": "checks"},
            cwd=HERE,
            check=False,
        )
    return finished.returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    arguments = parser.parse_args()
    name, context = engine()
    print(f"DynamoDB engine: {name}", flush=True)
    with context as endpoint_url:
        point_sdk_at(endpoint_url, os.environ)
        began = time.monotonic()
        found = [seed for seed in arguments.seeds if not fuzz(seed)]
    print(f"{len(arguments.seeds)} seeds in {time.monotonic() - began:.0f} s, with findings: {found or 'none'}")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
