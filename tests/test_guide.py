"""docs/optimistic-locking.md: every command of it runs, and prints what the guide says."""

import re
import subprocess
import sys
from pathlib import Path

from tests.engines import PROJECT
from tests.servers import running_playlists, without

GUIDE = (PROJECT / "docs" / "optimistic-locking.md").read_text()
# A block of commands and the block of what they print.
STEPS = re.findall(r"^```sh\n(.*?)^```\n```\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)
BETWEEN = "--- next step ---"


def printed_by_the_steps(url: str, environment: dict[str, str]) -> list[str]:
    """What each step prints, all run in one shell."""
    script = f"\necho '{BETWEEN}'\n".join(commands for commands, _ in STEPS)
    script = script.replace("http://127.0.0.1:8080", url).replace(".venv/bin/", f"{Path(sys.executable).parent}/")
    ran = subprocess.run(
        ["bash", "-c", script], cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=180, check=False
    )
    assert ran.stderr == ""
    return ran.stdout.split(BETWEEN)


def pattern(stated: str) -> str:
    """A regular expression of what a block states: `...` is anything, and white space is white space."""
    return r"\s*".join(re.escape(word).replace(r"\.\.\.", ".*?") for word in stated.split())


def test_every_command_of_the_guide_prints_what_is_stated(table_name: str) -> None:
    environment = without(PLAYLISTS_TABLE_NAME=table_name)

    with running_playlists("serve", environment=environment) as served:
        printed = printed_by_the_steps(served.url, environment)

    assert len(STEPS) == GUIDE.count("```sh") > 10
    for (commands, stated), output in zip(STEPS, printed, strict=True):
        assert re.fullmatch(pattern(stated), output.strip(), re.DOTALL), f"{commands}printed\n{output}"


def test_code_of_the_guide_is_that_of_the_examples() -> None:
    examples = "".join(file.read_text() for file in (PROJECT / "docs" / "examples").glob("*.py"))
    shown = re.findall(r"^```python\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)

    assert shown
    assert all(code in examples for code in shown)
