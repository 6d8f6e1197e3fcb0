import json
import re
import subprocess
import sys

from app.store.embedded import free_port
from app.store.playlists import PlaylistRepository
from tests.engines import PROJECT
from tests.servers import running_playlists, without


def health(port: int) -> int:
    """The exit code of the image's health check, against this port and with a proxy that does not answer."""
    [check] = re.findall(r"^HEALTHCHECK .*\\\n *CMD (.*)", (PROJECT / "Dockerfile").read_text(), re.MULTILINE)
    _, *arguments = json.loads(check.replace("8080", str(port)))
    environment = without("no_proxy", "NO_PROXY", http_proxy=f"http://127.0.0.1:{free_port()}")
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, check=False).returncode


async def test_health_check_asks_the_service_itself_whatever_proxy_is_set(
    playlists: PlaylistRepository, table_name: str
) -> None:
    with running_playlists("serve", environment=without(PLAYLISTS_TABLE_NAME=table_name)) as served:
        assert health(int(served.url.rpartition(":")[2])) == 0


def test_health_check_fails_where_nothing_serves() -> None:
    assert health(free_port()) == 1


def test_everything_that_is_copied_into_the_image_is_let_through_by_dockerignore() -> None:
    """`.dockerignore` leaves out all but what it names, and the build fails on what is left out."""
    named = re.findall(r"^!(.+)$", (PROJECT / ".dockerignore").read_text(), re.MULTILINE)
    copies = re.findall(r"^COPY (?!--from)(.+) \S+$", (PROJECT / "Dockerfile").read_text(), re.MULTILINE)

    copied = {source for copy in copies for source in copy.split()}

    assert copied == set(named)
    assert all((PROJECT / source).exists() for source in copied)
