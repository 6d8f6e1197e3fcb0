"""schemathesis against the service in a process of its own, on an engine: nothing may be found.

`python -m tests.fuzzing.run --seeds 1 2` runs all its phases with valid and invalid data, and with
and without an access token, for each seed, on a table of its own with the example playlists. With
every other seed the service demands preconditions. Exits with 1 if anything was found.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

from app.domain.access import ANONYMOUS
from app.examples import add_examples
from app.settings import load_settings
from app.store.attempts import Attempts
from app.store.client import open_client, open_patient_client
from app.store.dynamodb import DynamoDBTable
from app.store.embedded import point_sdk_at
from app.store.playlists import PlaylistRepository
from app.store.table import create_table
from tests.engines import PROJECT, engine
from tests.issuer import AUDIENCE, ISSUER, Issuer
from tests.servers import running_playlists

HERE = Path(__file__).parent
SCHEMATHESIS = PROJECT / ".venv-contract" / "bin" / "schemathesis"


async def make_examples(table_name: str) -> None:
    settings = load_settings(auth="none", table_name=table_name)
    async with open_patient_client() as client:
        await create_table(client, table_name)
    async with open_client(settings) as client:
        await add_examples(PlaylistRepository(DynamoDBTable(client, table_name), Attempts(settings)))


def fuzz(seed: int, issuer: Issuer) -> bool:
    """Whether schemathesis found nothing."""
    asyncio.run(make_examples(f"fuzzed_{seed}"))
    environment = os.environ | {
        "PLAYLISTS_TABLE_NAME": f"fuzzed_{seed}",
        "PLAYLISTS_REQUIRE_PRECONDITION": str(seed % 2 == 0).lower(),
        "PLAYLISTS_AUTH": "jwt",
        "PLAYLISTS_JWT_ISSUER": ISSUER,
        "PLAYLISTS_JWT_AUDIENCE": AUDIENCE,
        "PLAYLISTS_JWT_JWKS": issuer.url,
    }
    # The owner of the example playlists.
    token = issuer.token(sub=ANONYMOUS.subject)
    command: list[str | Path] = [SCHEMATHESIS, "--no-color", "--config-file", HERE / "schemathesis.toml"]
    options = ["--seed", str(seed), "--mode", "all"]
    with running_playlists("serve", environment=environment) as served:
        finished = subprocess.run(
            [*command, "run", f"{served.url}/openapi.json", *options],
            env=os.environ | {"SCHEMATHESIS_HOOKS": "checks", "ACCESS_TOKEN": token},
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
    with context as endpoint_url, Issuer().published() as issuer:
        point_sdk_at(endpoint_url, os.environ)
        began = time.monotonic()
        found = [seed for seed in arguments.seeds if not fuzz(seed, issuer)]
    print(f"{len(arguments.seeds)} seeds in {time.monotonic() - began:.0f} s, with findings: {found or 'none'}")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
