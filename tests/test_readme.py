"""README.md: its commands work in their order, after those that `make run` prints."""

import re
import subprocess

from tests.engines import PROJECT
from tests.servers import running_playlists, without

README = (PROJECT / "README.md").read_text()
COMMANDS = re.findall(r"^```sh\n(curl .*?)^```$", README, re.DOTALL | re.MULTILINE)


def statuses(commands: list[str], environment: dict[str, str]) -> list[int]:
    """The status of each answer that these commands of curl get, run one after another."""
    with_status = """curl() { command curl --silent --show-error --write-out '\\n%{http_code}\\n' "$@"; }"""
    script = "\n".join([with_status, *commands])
    ran = subprocess.run(
        ["bash", "-c", script], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.stderr == ""
    return [int(line) for line in re.findall(r"^\d{3}$", ran.stdout, re.MULTILINE)]


def test_commands_of_the_readme_work_in_their_order_after_those_that_make_run_prints(endpoint_url: str) -> None:
    environment = without("AWS_ENDPOINT_URL_DYNAMODB")

    with running_playlists("dev", environment=environment) as served:
        printed = re.findall(r"^curl .*$", served.output(), re.MULTILINE)
        tried = statuses(printed, environment)
        answered = statuses([block.replace("http://127.0.0.1:8080", served.url) for block in COMMANDS], environment)

    assert tried == [200, 409, 200]
    assert answered == [200, 200, 409, 200, 200, 200, 200, 200, 200]
