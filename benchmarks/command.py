"""What the commands of the benchmarks have in common: arguments that are lists, and the file of results."""

import argparse
import json
import os
import platform
from collections.abc import Callable
from pathlib import Path


def numbers(text: str) -> list[int]:
    """Read an argument such as `20,200`."""
    return [int(part) for part in text.split(",")]


def names_of(*choices: str) -> Callable[[str], list[str]]:
    """What reads an argument such as `get,rename`."""

    def names(text: str) -> list[str]:
        if unknown := set(text.split(",")) - set(choices):
            raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: choose from {', '.join(choices)}")
        return text.split(",")

    return names


def write_json(file: Path, **results: object) -> None:
    """Write what was measured, and what it was measured on."""
    machine = {"processors": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    file.write_text(json.dumps({"machine": machine, **results}, indent=1) + "\n")
