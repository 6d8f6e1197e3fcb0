"""Write docs/licences.md: the licences of all that the service needs at run time, as the packages declare them.

With --check nothing is written: it fails if the file is not current, or a licence is none of those allowed.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import distribution

from requirements.audit import ROOT, read_lock

# Permissive ones: what they ask for is to be named, and their text to go along; MPL-2.0 the same for its own files.
ALLOWED = {"Apache-2.0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0"}
# How packages that declare no SPDX expression write them.
_SPDX = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
_CLASSIFIER = re.compile(r"License :: (?:OSI Approved :: )?(.+)")
FILE = ROOT / "docs/licences.md"


def licence(metadata: Mapping[str, list[str]]) -> str:
    """A package's licence in SPDX words, as far as it declares one that is known; else what it says."""
    for declared in metadata.get("License-Expression", []):
        return declared
    stated = [_SPDX.get(text, text) for text in metadata.get("License", [])]
    classified = [
        _SPDX.get(match[1], match[1])
        for text in metadata.get("Classifier", [])
        if (match := _CLASSIFIER.fullmatch(text))
    ]
    # A field that is filled with a whole text, or with "Dual License", says less than the classifiers.
    if stated and (stated[0] in ALLOWED or not classified):
        return stated[0].partition("\n")[0]
    return " AND ".join(classified) or "none declared"


def is_allowed(expression: str) -> bool:
    """Whether every licence that the expression names is allowed, also where it leaves a choice."""
    return set(re.split(r" (?:AND|OR) |[()]", expression)) - {""} <= ALLOWED


def licences() -> dict[str, tuple[str, str]]:
    """Version and licence of each package of run.txt that is installed on this platform."""
    lock = read_lock("run.txt", (ROOT / "requirements/run.txt").read_text())
    found = {}
    for name, version in sorted(lock.versions.items()):
        metadata = distribution(name).metadata
        fields = {field: metadata.get_all(field) or [] for field in ("License-Expression", "License", "Classifier")}
        found[name] = (version, licence(fields))
    return found


def document(found: Mapping[str, tuple[str, str]]) -> str:
    rows = "".join(f"| {name} | {version} | {spdx} |\n" for name, (version, spdx) in found.items())
    return (
        "# Licences\n\n"
        "What the service needs at run time (`requirements/run.txt`, on Linux and macOS), with the licence that each\n"
        "package declares. Written by `make licences`, held current by `make audit`. The docs page's assets in\n"
        "`app/api/swagger_ui/` are Apache-2.0 and MIT, with their licences and notices beside them.\n\n"
        f"| package | version | licence |\n|---|---|---|\n{rows}"
    )


def faults(found: Mapping[str, tuple[str, str]], written: str) -> Iterator[str]:
    for name, (_, spdx) in found.items():
        if not is_allowed(spdx):
            yield f"{name}: licence {spdx} is none of those allowed ({', '.join(sorted(ALLOWED))})"
    if written != document(found):
        yield "docs/licences.md is not current: make licences"


def main(*options: str) -> int:
    found = licences()
    if "--check" not in options:
        FILE.write_text(document(found))
    failed = list(faults(found, FILE.read_text()))
    for fault in failed:
        print(fault, file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
