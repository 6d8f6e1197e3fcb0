"""Write the hashed locks from pyproject.toml: run.txt, those on top of it, deploy.txt and engine.txt.

For every platform and Python from 3.11 on; the locks name no index and no host.
"""

import subprocess
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
PROJECT = tomllib.loads((HERE.parent / "pyproject.toml").read_text())


def compile_lock(name: str, requirements: list[str], *constraints: str) -> None:
    command = [sys.executable, "-m", "uv", "pip", "compile", "-", "--universal", "--python-version", "3.11"]
    command += ["--generate-hashes", "--no-header", "--no-annotate", "--quiet", "--upgrade"]
    command += [option for lock in constraints for option in ("--constraints", str(HERE / lock))]
    command += ["--output-file", str(HERE / name)]
    subprocess.run(command, input="\n".join(requirements), text=True, check=True)  # noqa: S603


run = PROJECT["project"]["dependencies"] + PROJECT["build-system"]["requires"]
groups = PROJECT["dependency-groups"]
compile_lock("run.txt", run)
compile_lock("test.txt", groups["test"], "run.txt")
compile_lock("browser.txt", groups["browser"], "run.txt", "test.txt")
compile_lock("deploy.txt", groups["deploy"])
compile_lock("benchmarks.txt", groups["benchmarks"], "run.txt", "test.txt")
compile_lock("contract.txt", groups["contract"])
compile_lock("engine.txt", groups["engine"])
