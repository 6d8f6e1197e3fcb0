import pytest

from requirements.licences import document, faults, is_allowed, licence

FOUND = {"fastapi": ("0.165.0", "MIT")}


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        ({"License-Expression": ["Apache-2.0 AND MIT"], "License": ["MIT"]}, "Apache-2.0 AND MIT"),
        ({"License": ["Apache License 2.0"]}, "Apache-2.0"),
        (
            {"License": ["PSF-2.0"], "Classifier": ["License :: OSI Approved :: Python Software Foundation License"]},
            "PSF-2.0",
        ),
        (
            {
                "License": ["Dual License"],
                "Classifier": ["License :: OSI Approved :: BSD License", "License :: OSI Approved :: MIT License"],
            },
            "BSD AND MIT",
        ),
        (
            {"Classifier": ["Programming Language :: Python", "License :: Other/Proprietary License"]},
            "Other/Proprietary License",
        ),
        ({"License": ["Do what you like.\nNo warranty."]}, "Do what you like."),
        ({}, "none declared"),
    ],
)
def test_licence_is_what_the_package_declares(metadata: dict[str, list[str]], told: str) -> None:
    assert licence(metadata) == told


@pytest.mark.parametrize("expression", ["MIT", "Apache-2.0 AND MIT", "(MIT OR BSD-3-Clause) AND ISC"])
def test_permissive_licences_are_allowed(expression: str) -> None:
    assert is_allowed(expression)


@pytest.mark.parametrize(
    "expression",
    ["GPL-3.0-only", "MIT AND LGPL-2.1-only", "MIT OR AGPL-3.0-only", "none declared", "Other/Proprietary License"],
)
def test_other_licences_are_not(expression: str) -> None:
    assert not is_allowed(expression)


def test_list_as_it_is_written_is_current() -> None:
    assert list(faults(FOUND, document(FOUND))) == []


def test_list_of_another_version_is_not_current() -> None:
    [fault] = faults(FOUND, document({"fastapi": ("0.164.0", "MIT")}))

    assert "make licences" in fault


def test_licence_that_is_not_allowed_is_faulted_also_where_the_list_is_current() -> None:
    copyleft = {"readline": ("8.2", "GPL-3.0-only")}

    [fault] = faults(copyleft, document(copyleft))

    assert fault.startswith("readline: licence GPL-3.0-only")
