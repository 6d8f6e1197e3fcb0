"""The `playlists` command."""

import asyncio
import json
import logging.config
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer

from app import server
from app.api.auth import issuer_keys
from app.api.jwks import KeySetUnavailable
from app.api.openapi import document_as_file
from app.domain.errors import PlaylistError
from app.examples import add_examples
from app.logs import logging_configuration
from app.main import create_app
from app.metrics import counted_together
from app.race.playlists import RaceImpossible, naive_playlist, playlist_over_http, running_service
from app.race.race import Race, run_race
from app.race.results import plot as plot_race
from app.race.results import print_results, require_matplotlib, shown_progress
from app.settings import TOKEN_VARIABLE, InvalidSettings, Settings, load_settings, warn_of_ignored_settings
from app.store.attempts import Attempts
from app.store.client import open_client, open_patient_client
from app.store.dynamodb import DynamoDBTable
from app.store.embedded import EngineUnavailable, point_sdk_at, running_engine
from app.store.playlists import PlaylistRepository
from app.store.table import TableUnusable, check_table, create_table, explained

_ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL")

cli = typer.Typer(
    name="playlists",
    help="Playlists over HTTP on a shared DynamoDB table, with optimistic locking.\n\n"
    "Begin with `playlists dev`. Settings are environment variables PLAYLISTS_*, which README.md lists, and AWS's own.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
table = typer.Typer(name="table", help="Make or check the DynamoDB table.", no_args_is_help=True)
cli.add_typer(table)

Port = Annotated[int, typer.Option(min=1, max=65_535, help="TCP port to listen on.")]


def main() -> None:
    """Run the command; what the operator can mend ends it with one line and exit code 1."""
    try:
        cli()
    except (InvalidSettings, TableUnusable, EngineUnavailable, KeySetUnavailable, RaceImpossible, _Impossible) as error:
        print(f"playlists: {error}", file=sys.stderr)
        sys.exit(1)


@cli.command()
def dev(port: Port = 8080) -> None:
    """Try it: an embedded DynamoDB, a few example playlists, and the docs page, on this machine only.

    Where AWS_ENDPOINT_URL_DYNAMODB (or AWS_ENDPOINT_URL) is set, that DynamoDB is used instead of the
    embedded one, and the table and the examples are made there.
    """
    _start_log(stream="stdout")
    settings = load_settings(auth="none")
    _check_port("127.0.0.1", port)
    _exit_on(signal.SIGTERM)
    # A terminal that is closed; uvicorn knows SIGTERM only, and ends what is under way before it leaves.
    signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    with _configured_or_embedded_dynamodb():
        asyncio.run(_prepare(settings))
        config = server.configuration(
            partial(create_app, settings), settings, host="127.0.0.1", port=port, readable_logs=True
        )
        try:
            _AnnouncedServer(config).run()
        except KeyboardInterrupt:
            print("Stopped.")


@cli.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Port = 8080,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes.")] = 1,
) -> None:
    """Serve in production, on a table that is there.

    `playlists table create` makes one. PLAYLISTS_AUTH has to say who may call.
    """
    _start_log(readable=False, stream="stdout")
    settings = load_settings()
    _check_port(host, port)
    asyncio.run(_open(settings) if settings.skip_table_check else _check(settings))
    if settings.auth == "jwt":
        asyncio.run(issuer_keys(settings).load())
    # uvicorn raises SIGTERM again once it has shut down; asked to stop and stopped is no failure.
    _exit_on(signal.SIGTERM)
    with counted_together(workers):
        server.serve(settings, host=host, port=port, workers=workers)


@table.command("create")
def create() -> None:
    """Make the table that PLAYLISTS_TABLE_NAME names, with its index; does nothing if it is there."""
    _start_log()
    settings = load_settings(auth="none")
    created = asyncio.run(_create(settings))
    print(f"table {settings.table_name!r} " + ("created" if created else "was there already"))


@table.command("check")
def check() -> None:
    """Say whether the service can work on the table, and what is missing."""
    _start_log()
    settings = load_settings(auth="none")
    missing = asyncio.run(_check(settings))
    print(f"table {settings.table_name!r} can be used")
    for sentence in missing:
        print(sentence)


@cli.command()
def openapi(
    output: Annotated[Path | None, typer.Option(help="File to write instead of standard output.")] = None,
) -> None:
    """Print the OpenAPI document."""
    _start_log()
    document = document_as_file(create_app(load_settings(auth="none")).openapi())
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    if output is None:
        print(text, end="")
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise _Impossible(f"cannot write {output}: {error.strerror}") from error


@cli.command()
def race(
    url: Annotated[
        str | None, typer.Option(help="Service to race against; one is started if this is left out.")
    ] = None,
    playlist: Annotated[
        str | None,
        typer.Option(help="Playlist to rename, by its token; one is made and deleted again if this is left out."),
    ] = None,
    writers: Annotated[int, typer.Option(min=1, max=256, help="How many write at once.")] = 8,
    renames: Annotated[int, typer.Option(min=1, max=100_000, help="How many renames they make between them.")] = 200,
    naive: Annotated[
        bool,
        typer.Option("--naive", help="Read and write the table itself, without conditions, to see what that loses."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
    plot: Annotated[
        Path | None, typer.Option(help="PNG file to draw versions over time into (needs matplotlib).")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(envvar=TOKEN_VARIABLE, help="Bearer token; in the variable no process list shows it."),
    ] = None,
) -> None:
    """Let many writers rename one playlist, and prove that no acknowledged rename is lost.

    Without --url it starts a service of its own, on the embedded DynamoDB or the one that
    AWS_ENDPOINT_URL_DYNAMODB (or AWS_ENDPOINT_URL) names. Every rename says in If-Match what it was made
    from. After a conflict a writer waits for a random time, longer with each in a row, and reads again; after
    a success it waits a moment too, so that every writer gets through.

    The exit code is 1 if anything was lost, as it is by naive writers.
    """
    _start_log()
    if naive and (url or playlist):
        raise _Impossible("--naive races on a table, with a playlist of its own: leave out --url and --playlist")
    if plot is not None:
        require_matplotlib()
    # A shell may have it ignored for what runs in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        # As Ctrl-C, so that what was started and made for the race goes with it.
        signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))
    with ExitStack() as running:
        each_done = running.enter_context(shown_progress(renames))
        if url is None:
            running.enter_context(_configured_or_embedded_dynamodb())
            asyncio.run(_create(load_settings(auth="none")))
        if naive:
            running_race = _race_naively(writers=writers, renames=renames, each_done=each_done)
        else:
            url = url or running.enter_context(running_service())
            running_race = _race(url, playlist, token, writers=writers, renames=renames, each_done=each_done)
        finished = asyncio.run(running_race)
    print_results(finished, as_json=as_json)
    if plot is not None:
        plot_race(finished, plot)
    if not finished.is_explained():
        raise typer.Exit(1)


def _start_log(*, readable: bool = True, stream: Literal["stdout", "stderr"] = "stderr") -> None:
    """Begin the log, which serving commands write to the standard output, and those with a result beside it."""
    logging.config.dictConfig(logging_configuration(readable=readable, stream=stream))
    warn_of_ignored_settings(os.environ)


class _Impossible(Exception):
    """One line: which argument cannot be used, and why."""


class _AnnouncedServer(server.Server):
    """Says what to try as soon as it listens."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            _announce(f"http://127.0.0.1:{self.config.port}")


def _announce(url: str) -> None:
    # Not the playlist of the README's commands, which count on its version.
    patch = f"curl -X PATCH {url}/playlists/PLAYLIST_2 -H 'Content-Type: application/json'"
    print(f"""
The service is at {url} (a conflict to try with two writers) and its docs page at {url}/docs.
Ctrl-C stops it. To try:

# rename a playlist
{patch} -d '{{"playlist_name": "Road Trip"}}'
# rename it as one who has not seen that: the conflict
{patch} -d '{{"playlist_name": "Too late", "playlist_version": 1}}'
# read it
curl -i {url}/playlists/PLAYLIST_2
""", flush=True)  # fmt: skip


@contextmanager
def _configured_or_embedded_dynamodb() -> Iterator[None]:
    """Let the SDK talk to the endpoint that the environment names, else to an engine that runs for the block."""
    if any(os.environ.get(name) for name in _ENDPOINT_VARIABLES):
        yield
        return
    with running_engine() as endpoint_url:
        point_sdk_at(endpoint_url, os.environ)
        yield


async def _prepare(settings: Settings) -> None:
    await _create(settings)
    with _failures_explained(settings):
        async with open_client(settings) as client:
            await add_examples(PlaylistRepository(DynamoDBTable(client, settings.table_name), Attempts(settings)))


async def _create(settings: Settings) -> bool:
    with _failures_explained(settings):
        async with open_patient_client() as client:
            created = await create_table(client, settings.table_name)
            await check_table(client, settings.table_name, mrec_write_region=settings.mrec_write_region)
            return created


async def _open(settings: Settings) -> list[str]:
    """Make sure that there is a usable AWS configuration, without a call."""
    with _failures_explained(settings):
        async with open_client(settings):
            return []


async def _check(settings: Settings) -> list[str]:
    with _failures_explained(settings):
        async with open_patient_client() as client:
            return await check_table(client, settings.table_name, mrec_write_region=settings.mrec_write_region)


async def _race(url: str, playlist_token: str | None, bearer: str | None, **options: Any) -> Race:
    async with playlist_over_http(url, playlist_token, bearer=bearer) as playlist:
        return await run_race(playlist, is_shared=playlist_token is not None, **options)


async def _race_naively(**options: Any) -> Race:
    settings = load_settings(auth="none")
    with _failures_explained(settings):
        async with open_patient_client() as client, naive_playlist(client, settings.table_name) as playlist:
            return await run_race(playlist, is_shared=False, **options)


@contextmanager
def _failures_explained(settings: Settings) -> Iterator[None]:
    """Tell what fails in the block as what the operator can mend."""
    try:
        yield
    except TableUnusable:
        raise
    except PlaylistError as error:
        cause = " ".join(str(error.__cause__ or error).split())
        raise TableUnusable(f"the examples cannot be put into table {settings.table_name!r}: {cause}") from error
    except Exception as error:
        raise explained(error, settings.table_name) from error


def _check_port(host: str, port: int) -> None:
    try:
        [family, *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except (OSError, UnicodeError) as error:  # A UnicodeError is a host with an empty or too long label.
        cause = error.strerror if isinstance(error, OSError) else "not a host name"
        raise _Impossible(f"cannot listen on {host}:{port}: {cause}; choose another with --host or --port") from error


def _exit_on(number: signal.Signals) -> None:
    def leave(*_: object) -> NoReturn:
        sys.exit(0)

    signal.signal(number, leave)
