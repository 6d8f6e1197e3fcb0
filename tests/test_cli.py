"""The command as an operator meets it: what works, and the one line that says what to mend."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx2
import pytest

from app.store.embedded import EngineUnavailable, free_port, running_engine
from app.store.playlists import PlaylistRepository
from tests.engines import PROJECT
from tests.issuer import AUDIENCE, ISSUER, Issuer
from tests.servers import run_playlists, running_playlists, service_links, without


def mend_line(finished: "subprocess.CompletedProcess[str]") -> str:
    """The one line on standard error of a command that failed as it should."""
    assert finished.returncode == 1, finished
    assert "Traceback" not in finished.stderr
    [line] = finished.stderr.splitlines()
    assert line.startswith("playlists: ")
    return line


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PLAYLISTS_AUTH", "yes"),
        ("PLAYLISTS_JWT_JWKS", "http://issuer.example/jwks.json"),
        ("PLAYLISTS_JWT_TYPES", "at+jwt;JWT"),
        ("PLAYLISTS_JWT_LEEWAY_SECONDS", "301"),
        ("PLAYLISTS_OWNERLESS_WRITES", "everyone"),
        ("PLAYLISTS_TABLE_NAME", "a b"),
        ("PLAYLISTS_REQUIRE_PRECONDITION", "perhaps"),
        ("PLAYLISTS_TRACK_TOKEN_PATTERN", "["),
        ("PLAYLISTS_TRACK_TOKEN_PATTERN", "a{99999999999}"),
        ("PLAYLISTS_TRACK_TOKEN_PATTERN", "(" * 5_000 + ")" * 5_000),
        ("PLAYLISTS_RETRY_BUDGET", "1" + "0" * 400),
        ("PLAYLISTS_READ_TIMEOUT_SECONDS", "0"),
        ("PLAYLISTS_MAX_CONNECTIONS", "many"),
        ("PLAYLISTS_SHUTDOWN_GRACE_SECONDS", "4"),
    ],
    ids=lambda text: text[:40],
)
def test_wrong_setting_stops_the_start_with_a_line_that_names_it(endpoint_url: str, variable: str, value: str) -> None:
    line = mend_line(run_playlists("serve", environment=without(**{variable: value})))

    assert variable in line
    assert value[:90] in line


def test_serve_needs_to_be_told_whose_tokens_it_takes(endpoint_url: str) -> None:
    line = mend_line(run_playlists("serve", environment=without("PLAYLISTS_AUTH", PLAYLISTS_JWT_AUDIENCE="ours")))

    assert "PLAYLISTS_JWT_ISSUER, PLAYLISTS_JWT_JWKS" in line
    assert "PLAYLISTS_JWT_AUDIENCE" not in line
    assert "PLAYLISTS_AUTH=none serves everyone without authentication" in line


UNKNOWN = {"PLAYLISTS_TABEL_NAME": "mine"}
WARNING = "PLAYLISTS_TABEL_NAME is ignored, because there is no such setting; the closest is PLAYLISTS_TABLE_NAME"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_unknown_setting_is_one_warning_for_all_workers_and_service_links_are_none(
    table_name: str, workers: str
) -> None:
    environment = without(PLAYLISTS_TABLE_NAME=table_name, **UNKNOWN, **service_links())

    with running_playlists("serve", "--workers", workers, environment=environment) as served:
        lines = [json.loads(line) for line in served.stop().splitlines()]

    [warning] = [line for line in lines if line["level"] == "WARNING"]
    assert (warning["logger"], warning["message"]) == ("app.settings", WARNING)


def test_unknown_setting_is_a_warning_also_where_another_stops_the_start(endpoint_url: str) -> None:
    finished = run_playlists("serve", "--workers", "2", environment=without(PLAYLISTS_RETRY_BUDGET="-1", **UNKNOWN))

    [line] = finished.stdout.splitlines()
    assert json.loads(line)["message"] == WARNING
    assert "PLAYLISTS_RETRY_BUDGET" in mend_line(finished)


def test_dev_warns_of_an_unknown_setting_in_plain_text(table_name: str) -> None:
    with running_playlists("dev", environment=without(PLAYLISTS_TABLE_NAME=table_name, **UNKNOWN)) as served:
        lines = served.stop().splitlines()

    [warning] = [line for line in lines if "PLAYLISTS_" in line]
    assert warning.endswith(f" WARNING {WARNING}")


@pytest.mark.parametrize(
    "command",
    [
        ("table", "create"),
        ("table", "check"),
        ("openapi",),
        ("race", "--renames", "1"),
        ("race", "--naive", "--renames", "1"),
    ],
    ids=" ".join,
)
def test_command_with_a_result_warns_of_an_unknown_setting_beside_it(table_name: str, command: tuple[str, ...]) -> None:
    finished = run_playlists(*command, environment=without(PLAYLISTS_TABLE_NAME=table_name, **UNKNOWN))

    [warning] = finished.stderr.splitlines()
    assert warning.endswith(f" WARNING {WARNING}")
    assert "WARNING" not in finished.stdout
    assert finished.returncode == 0


def trusting(location: str, table_name: str) -> dict[str, str]:
    """An environment in which tokens are checked with the key set at that location."""
    return without(
        "PLAYLISTS_AUTH",
        PLAYLISTS_TABLE_NAME=table_name,
        PLAYLISTS_JWT_ISSUER=ISSUER,
        PLAYLISTS_JWT_AUDIENCE=AUDIENCE,
        PLAYLISTS_JWT_JWKS=location,
    )


@pytest.mark.parametrize("fault", ["unreachable", "no usable key", "no file"])
def test_serve_needs_keys_of_the_issuer(table_name: str, issuer: Issuer, tmp_path: Path, fault: str) -> None:
    issuer.keys = [{"kty": "oct", "k": "c2VjcmV0"}]
    locations = {
        "unreachable": f"http://127.0.0.1:{free_port()}/jwks.json",
        "no usable key": issuer.url,
        "no file": str(tmp_path / "jwks.json"),
    }

    line = mend_line(run_playlists("serve", environment=trusting(locations[fault], table_name)))

    assert f"PLAYLISTS_JWT_JWKS={locations[fault]}" in line


async def test_serve_takes_the_tokens_of_its_issuer(table_name: str, issuer: Issuer) -> None:
    token = {"Authorization": f"Bearer {issuer.token()}"}

    with running_playlists("serve", "--workers", "2", environment=trusting(issuer.url, table_name)) as served:
        async with httpx2.AsyncClient(base_url=served.url) as http:
            answers = [await http.get("/playlists"), await http.get("/playlists", headers=token)]

    assert [answer.status_code for answer in answers] == [401, 200]


@pytest.mark.parametrize("command", [("serve",), ("table", "check")])
def test_missing_table_is_named_with_the_command_that_makes_it(endpoint_url: str, command: tuple[str, ...]) -> None:
    line = mend_line(run_playlists(*command, environment=without(PLAYLISTS_TABLE_NAME="nothing_here")))

    assert "'nothing_here'" in line
    assert "playlists table create" in line


@pytest.mark.parametrize("command", [("serve",), ("table", "create"), ("table", "check"), ("dev",)])
def test_unreachable_endpoint_is_named(endpoint_url: str, command: tuple[str, ...]) -> None:
    unreachable = f"http://127.0.0.1:{free_port()}"

    line = mend_line(run_playlists(*command, environment=without(AWS_ENDPOINT_URL_DYNAMODB=unreachable)))

    assert unreachable in line
    assert "AWS_ENDPOINT_URL_DYNAMODB" in line


def test_endpoint_that_is_no_url_is_told(endpoint_url: str) -> None:
    line = mend_line(run_playlists("table", "check", environment=without(AWS_ENDPOINT_URL_DYNAMODB="nowhere")))

    assert "nowhere" in line


Answer = Callable[[str], tuple[int, dict[str, Any]]]


@contextmanager
def stand_in(answer: Answer) -> Iterator[str]:
    """An endpoint that gives this status and body for each DynamoDB operation, by its name."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status, body = answer(self.headers["X-Amz-Target"].partition(".")[2])
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.01,)).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def test_refused_credentials_are_told(endpoint_url: str) -> None:
    # DynamoDB Local checks the form of the access key, ministack none: only a stand-in refuses on both.
    refusal = {"__type": "com.amazon.coral.service#UnrecognizedClientException", "message": "Who are you?"}

    with stand_in(lambda _: (400, refusal)) as url:
        line = mend_line(run_playlists("table", "check", environment=without(AWS_ENDPOINT_URL_DYNAMODB=url)))

    assert "UnrecognizedClientException" in line
    assert "credentials" in line


@pytest.mark.parametrize("command", [("table", "create"), ("table", "check"), ("serve",)])
def test_looking_after_the_table_is_patient(endpoint_url: str, command: tuple[str, ...]) -> None:
    answers = iter([(500, {}), (400, {"__type": "x#ResourceNotFoundException"})])

    def answer(_: str) -> tuple[int, dict[str, Any]]:
        time.sleep(0.5)
        return next(answers)

    with stand_in(answer) as url:
        # What requests wait for is less than each answer takes.
        environment = without(AWS_ENDPOINT_URL_DYNAMODB=url, PLAYLISTS_READ_TIMEOUT_SECONDS="0.3")
        line = mend_line(run_playlists(*command, environment=environment))

    assert "there is no table" in line


def test_examples_that_cannot_be_written_are_told(endpoint_url: str) -> None:
    keys = {"partition_key": "HASH", "sort_key": "RANGE"}
    table = {
        "TableStatus": "ACTIVE",
        "KeySchema": [{"AttributeName": name, "KeyType": kind} for name, kind in keys.items()],
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in keys],
    }
    answers: dict[str, tuple[int, dict[str, Any]]] = {
        "CreateTable": (400, {"__type": "x#ResourceInUseException"}),
        "DescribeTable": (200, {"Table": table}),
        "PutItem": (400, {"__type": "x#AccessDeniedException", "message": "Read only."}),
    }

    with stand_in(answers.__getitem__) as url:
        line = mend_line(run_playlists("dev", environment=without(AWS_ENDPOINT_URL_DYNAMODB=url)))

    assert "examples" in line
    assert "Read only." in line


def test_missing_credentials_are_told(endpoint_url: str) -> None:
    environment = without("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", AWS_EC2_METADATA_DISABLED="true")

    assert "AWS_ACCESS_KEY_ID" in mend_line(run_playlists("table", "check", environment=environment))


def test_missing_region_is_told(endpoint_url: str) -> None:
    environment = without("AWS_REGION", "AWS_DEFAULT_REGION")

    assert "AWS_REGION" in mend_line(run_playlists("table", "check", environment=environment))


def test_missing_region_is_told_also_without_the_table_check(endpoint_url: str) -> None:
    environment = without("AWS_REGION", "AWS_DEFAULT_REGION", PLAYLISTS_SKIP_TABLE_CHECK="true")

    assert "AWS_REGION" in mend_line(run_playlists("serve", "--workers", "2", environment=environment))


def test_unknown_profile_is_told(endpoint_url: str) -> None:
    assert "nobody" in mend_line(run_playlists("table", "check", environment=without(AWS_PROFILE="nobody")))


def test_port_in_use_is_told(endpoint_url: str, table_name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])

        line = mend_line(run_playlists("serve", "--port", port, environment=without(PLAYLISTS_TABLE_NAME=table_name)))

    assert port in line
    assert "--port" in line


def test_host_that_is_none_is_told(endpoint_url: str) -> None:
    line = mend_line(run_playlists("serve", "--host", "a..b"))

    assert "a..b" in line
    assert "--host" in line


def test_ctrl_c_while_the_command_loads_leaves_no_trace(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)\n")

    ended = run_playlists("serve", environment=without(PYTHONPATH=str(tmp_path)))

    assert (ended.returncode, ended.stderr) == (130, "")


def test_table_is_created_once_and_then_checked(endpoint_url: str) -> None:
    environment = without(PLAYLISTS_TABLE_NAME="made_by_the_command")

    answers = [run_playlists("table", verb, environment=environment) for verb in ("create", "create", "check")]

    assert [answer.returncode for answer in answers] == [0, 0, 0]
    assert [answer.stdout.strip() for answer in answers] == [
        "table 'made_by_the_command' created",
        "table 'made_by_the_command' was there already",
        "table 'made_by_the_command' can be used",
    ]


def test_check_prints_the_command_that_adds_the_index(endpoint_url: str) -> None:
    keys = {"partition_key": "HASH", "sort_key": "RANGE"}
    table = {
        "TableStatus": "ACTIVE",
        "KeySchema": [{"AttributeName": name, "KeyType": kind} for name, kind in keys.items()],
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in keys],
    }

    with stand_in(lambda _: (200, {"Table": table})) as url:
        checked = run_playlists("table", "check", environment=without(AWS_ENDPOINT_URL_DYNAMODB=url))

    can_be_used, missing, command = checked.stdout.splitlines()
    assert checked.returncode == 0
    assert can_be_used == "table 'music_items' can be used"
    assert missing.endswith("this adds it:")
    assert command.startswith("aws dynamodb update-table --table-name music_items --attribute-definitions '[")


def test_openapi_prints_the_kept_document(endpoint_url: str) -> None:
    printed = run_playlists("openapi")

    assert printed.stdout == (PROJECT / "openapi" / "openapi.json").read_text()


def test_document_that_cannot_be_written_is_told(endpoint_url: str, tmp_path: Path) -> None:
    output = str(tmp_path / "missing" / "openapi.json")

    assert output in mend_line(run_playlists("openapi", "--output", output))


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_serve_ends_with_exit_code_0_on_sigterm(
    playlists: PlaylistRepository, table_name: str, workers: str
) -> None:
    environment = without(PLAYLISTS_TABLE_NAME=table_name)

    with running_playlists("serve", "--workers", workers, environment=environment) as served:
        async with httpx2.AsyncClient() as http:
            assert (await http.get(f"{served.url}/livez")).status_code == 200
        served.process.send_signal(signal.SIGTERM)

        assert served.process.wait(20) == 0


def children_of(parent: int) -> list[int]:
    of_linux = Path(f"/proc/{parent}/task/{parent}/children")
    if of_linux.exists():  # Slim containers have no ps, and macOS has no /proc.
        return [int(child) for child in of_linux.read_text().split()]
    listing = subprocess.run(["ps", "-A", "-o", "ppid=", "-o", "pid="], capture_output=True, text=True, check=True)
    pairs = [map(int, line.split()) for line in listing.stdout.splitlines()]
    return [child for of, child in pairs if of == parent]


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_dev_serves_the_examples_on_its_own_engine_and_takes_it_along(
    endpoint_url: str, number: signal.Signals
) -> None:
    environment = without("AWS_ENDPOINT_URL_DYNAMODB", AWS_PROFILE="some-profile-of-the-user")

    with running_playlists("dev", environment=environment) as served:
        [engine] = children_of(served.process.pid)
        async with httpx2.AsyncClient(base_url=served.url) as http:
            renamed = await http.patch("/playlists/PLAYLIST_1", json={"playlist_name": "Road Trip"})
            stale = await http.patch("/playlists/PLAYLIST_1", json={"playlist_name": "Late", "playlist_version": 1})
        served.process.send_signal(number)
        exit_code = served.process.wait(20)
        output = served.output()

    assert (renamed.status_code, stale.status_code) == (200, 409)
    assert output.count("curl ") == 3
    assert exit_code == 0, output
    assert not is_running(engine)


def test_embedded_engine_that_is_not_installed_is_told(endpoint_url: str, tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="make run"), running_engine(tmp_path / "ministack"):
        pass
