"""Hold the locks against pyproject.toml, and what is installed against the locks. Needs no network.

A lock has a version and hashes for each package, and exactly the packages that pyproject.toml asks
for and those that these need; an environment has nothing that no lock of it has.
"""

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
_PINNED = re.compile(r"(?P<name>[a-z0-9-]+)==(?P<version>[^ ;]+)(?: ; (?P<marker>.+?))? \\")
_HASH = re.compile(r" {4}--hash=sha256:[0-9a-f]{64}(?P<more> \\)?")
# What `python -m venv` puts there before any lock is installed.
_SEEDED = {"pip", "setuptools"}


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock's name, the versions that hold here by package, and its lines that are none of a hashed lock."""

    name: str
    versions: Mapping[str, str]
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Installed:
    """A distribution as an environment has it."""

    version: str
    requires: tuple[str, ...] = ()


def read_lock(name: str, text: str) -> Lock:
    """Read a lock as `make lock` writes it; everything else in it is a fault."""
    versions: dict[str, str] = {}
    faults: list[str] = []
    hash_follows = False
    for line in text.splitlines():
        hashed = _HASH.fullmatch(line)
        pinned = None if hashed else _PINNED.fullmatch(line)
        if (hashed is not None) != hash_follows or not (hashed or pinned):
            faults.append(f"{name}: no pinned and hashed requirement: {line.strip()}")
        if pinned and (pinned["marker"] is None or Marker(pinned["marker"]).evaluate()):
            versions[pinned["name"]] = pinned["version"]
        hash_follows = pinned is not None or bool(hashed and hashed["more"])
    if hash_follows:
        faults.append(f"{name}: ends before its last hash")
    return Lock(name, versions, tuple(faults))


def lock_faults(lock: Lock, asked_for: Iterable[str], installed: Mapping[str, Installed]) -> Iterator[str]:
    """What a lock lacks, has besides, or has in another version than is asked for.

    `installed` tells what each package needs.
    """
    yield from lock.faults
    needed: set[str] = set()
    seen: set[tuple[str, str]] = set()
    waiting = [("pyproject.toml", requirement) for requirement in _holding_here(asked_for)]
    while waiting:
        asker, requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        version = lock.versions.get(name)
        needed.add(name)
        if version is None:
            yield f"{lock.name}: lacks {name}, which {asker} needs"
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            yield f"{lock.name}: {name} {version} is not the {requirement.specifier} that {asker} needs"
        for extra in {"", *requirement.extras} - {extra for known, extra in seen if known == name}:
            seen.add((name, extra))
            needs = installed[name].requires if name in installed else ()
            waiting += [(name, requirement) for requirement in _holding_here(needs, extra)]
    yield from (f"{lock.name}: has {name}, which nothing needs" for name in sorted(lock.versions.keys() - needed))


def _holding_here(requirements: Iterable[str], extra: str = "") -> Iterator[Requirement]:
    """Those whose marker holds on this platform and Python, with this extra asked for."""
    for requirement in map(Requirement, requirements):
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            yield requirement


def environment_faults(
    environment: str, installed: Mapping[str, Installed], locks: Iterable[Lock], *, own: str
) -> Iterator[str]:
    """What is installed and in no lock, or in another version; `own` is the project itself."""
    locked = {name: version for lock in locks for name, version in lock.versions.items()}
    for name, package in sorted(installed.items()):
        if name in (_SEEDED - locked.keys()) or name == own:
            continue
        if locked.get(name) != package.version:
            yield f"{environment}: has {name} {package.version}, and the locks {locked.get(name, 'do not know it')}"


def packages(found: Iterable[Distribution]) -> dict[str, Installed]:
    return {canonicalize_name(one.name): Installed(one.version, tuple(one.requires or ())) for one in found}


def installed_in(environment: str) -> dict[str, Installed]:
    [folder] = (ROOT / environment).glob("lib/python*/site-packages")
    return packages(distributions(path=[str(folder)]))


def audit(project: Mapping[str, Any]) -> Iterator[str]:
    """All faults of the locks and the environments that are installed from them."""
    groups = project["dependency-groups"]
    run = project["project"]["dependencies"] + project["build-system"]["requires"]
    environments = {
        ".venv": {"run": run, **{name: groups[name] for name in ("test", "browser", "benchmarks")}},
        ".venv-contract": {"contract": groups["contract"]},
        ".venv-deploy": {"deploy": groups["deploy"]},
        ".venv-engine": {"engine": groups["engine"]},
    }
    for environment, asked_for in environments.items():
        installed = installed_in(environment)
        locks = {name: read_lock(f"{name}.txt", (ROOT / f"requirements/{name}.txt").read_text()) for name in asked_for}
        for name, lock in locks.items():
            yield from lock_faults(lock, asked_for[name], installed)
        yield from environment_faults(environment, installed, locks.values(), own=project["project"]["name"])


def main() -> int:
    faults = list(audit(tomllib.loads((ROOT / "pyproject.toml").read_text())))
    for fault in faults:
        print(fault, file=sys.stderr)
    if faults:
        print("`make lock` writes the locks anew; `make clean` removes what is installed.", file=sys.stderr)
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
