import pytest

from requirements.audit import Installed, Lock, environment_faults, lock_faults, read_lock

HASH = f"--hash=sha256:{'0' * 64}"
WELL_FORMED = f"""\
aiohttp==3.14.5 \\
    {HASH} \\
    {HASH}
colorama==0.4.6 ; sys_platform == 'win32' \\
    {HASH}
"""
INSTALLED = {
    "fastapi": Installed("0.165.0", ("starlette>=1", "httpx>=1; extra == 'client'")),
    "starlette": Installed("1.10.0"),
    "httpx": Installed("1.2"),
}


def lock(**versions: str) -> Lock:
    return Lock("run.txt", versions, ())


def test_lock_as_it_is_written_has_no_fault_and_the_versions_that_hold_here() -> None:
    read = read_lock("run.txt", WELL_FORMED)

    assert read.faults == ()
    assert read.versions == {"aiohttp": "3.14.5"}


@pytest.mark.parametrize(
    "text",
    [
        "aiohttp==3.14.5\n",
        f"aiohttp>=3.14 \\\n    {HASH}\n",
        "aiohttp==3.14.5 \\\n",
        f"aiohttp==3.14.5 \\\n    {HASH} \\\nyarl==1.25.1 \\\n    {HASH}\n",
        f"aiohttp==3.14.5 \\\n    --hash=md5:{'0' * 32}\n",
        f"{WELL_FORMED}    {HASH}\n",
        f"--extra-index-url=https://index.example/\n{WELL_FORMED}",
        f"{WELL_FORMED}yarl @ https://files.example/yarl.whl\n",
        f"{WELL_FORMED}-e .\n",
    ],
)
def test_lock_with_anything_but_pinned_and_hashed_requirements_is_faulted(text: str) -> None:
    assert read_lock("run.txt", text).faults


def test_lock_of_what_is_asked_for_and_what_that_needs_has_no_fault() -> None:
    asked_for = ["fastapi[client]>=0.165,<0.166", "colorama; sys_platform == 'win32'"]

    found = lock_faults(lock(fastapi="0.165.0", starlette="1.10.0", httpx="1.2"), asked_for, INSTALLED)

    assert list(found) == []


@pytest.mark.parametrize(
    ("versions", "fault"),
    [
        ({"fastapi": "0.165.0"}, "lacks starlette, which fastapi needs"),
        (
            {"fastapi": "0.164.0", "starlette": "1.10.0"},
            "fastapi 0.164.0 is not the <0.166,>=0.165 that pyproject.toml",
        ),
        ({"fastapi": "0.165.0", "starlette": "0.9"}, "starlette 0.9 is not the >=1 that fastapi needs"),
        ({"fastapi": "0.165.0", "starlette": "1.10.0", "httpx": "1.2"}, "has httpx, which nothing needs"),
    ],
)
def test_lock_out_of_step_with_what_is_asked_for_is_faulted(versions: dict[str, str], fault: str) -> None:
    [found] = lock_faults(lock(**versions), ["fastapi>=0.165,<0.166"], INSTALLED)

    assert fault in found


def test_environment_with_what_the_locks_have_and_what_it_is_made_with_has_no_fault() -> None:
    installed = {"fastapi": Installed("0.165.0"), "pip": Installed("23.2"), "playlist-service": Installed("0.1.0")}

    found = environment_faults(".venv", installed, [lock(), lock(fastapi="0.165.0")], own="playlist-service")

    assert list(found) == []


@pytest.mark.parametrize("installed", [{"leftpad": Installed("1.0")}, {"fastapi": Installed("0.166.0")}])
def test_environment_with_what_no_lock_has_is_faulted(installed: dict[str, Installed]) -> None:
    found = environment_faults(".venv", installed, [lock(fastapi="0.165.0")], own="playlist-service")

    assert len(list(found)) == 1
