"""Our JSON Patch held against a library, as an oracle, and against the vectors of npm's json-patch-test-suite.

`json_patch_vectors/` holds version 1.1.0 of the suite as it is (Apache-2.0, see its README.md).
"""

import json
from pathlib import Path
from typing import Any

import jsonpatch
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.errors import InvalidChange, PatchNotApplicable
from app.domain.json_patch import OPERATIONS, JsonPatch, Location
from app.domain.playlist import PLAYLIST_MEMBERS, PlaylistContent, playlist_name_fault, track_token_fault
from tests.domain.test_json_patch import PLAYLIST, Members, add, check, copy, members_of, move, remove, replace
from tests.domain.test_playlist import a_playlist

# Fit as a name and as a track token, so that whatever is copied is fit where it arrives.
_TEXT = st.sampled_from(["A/1", "A/2", "My/1"])
_VALUE: st.SearchStrategy[Any] = st.one_of(
    _TEXT, st.lists(_TEXT, max_size=4), st.sampled_from([None, True, 1, 3, 3.0, "", "x", {}, [1], ["x"]])
)
_TRACK = st.one_of(st.integers(0, 5).map(str), st.sampled_from(["-", "01", "-1", "x"])).map("/track_tokens/{}".format)
_POINTER = st.one_of(
    _TRACK, _TRACK, st.sampled_from(["", "/x", *(f"/{name}" for name in PLAYLIST_MEMBERS)]), st.just("/playlist_name")
)
_OPERATION = st.fixed_dictionaries(
    {"op": st.sampled_from(OPERATIONS), "path": _POINTER, "from": _POINTER, "value": _VALUE}
)
_INDEX = st.integers(0, 4).map("/track_tokens/{}".format)
_PLACE = _INDEX | st.just("/track_tokens/-")
_MEMBER = st.sampled_from(["/playlist_name", "/track_tokens"])
_FITTING = st.one_of(
    st.builds(add, _PLACE | st.just("/playlist_name"), _TEXT),
    st.builds(add, _PLACE, _TEXT),
    st.builds(add, st.just("/track_tokens"), st.lists(_TEXT, max_size=4)),
    st.builds(move, _INDEX, _PLACE),
    st.builds(copy, _INDEX | st.just("/playlist_name"), _PLACE | st.just("/playlist_name")),
    st.builds(remove, _INDEX | _MEMBER),
    st.builds(replace, _INDEX, _TEXT),
    st.builds(check, _INDEX, _TEXT),
)


def set_members(content: PlaylistContent) -> Members:
    return {"playlist_name": content.playlist_name, "track_tokens": list(content.track_tokens)}


def oracle(document: list[Members]) -> tuple[list[Members], int | None]:
    """What jsonpatch makes of PLAYLIST after each operation, and the number of the one that it refuses."""
    states = [members_of(PLAYLIST)]
    for number, operation in enumerate(document):
        try:
            states.append(jsonpatch.JsonPatch([operation]).apply(states[-1]))
        except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException):
            return states, number
    return states, None


def is_allowed(state: Any) -> bool:
    """Whether no rule of ours forbids this state in the middle of a patch."""
    return (
        isinstance(state, dict)
        and state.keys() <= set(PLAYLIST_MEMBERS)
        and all(
            state.get(name) == getattr(PLAYLIST, name) and type(state.get(name)) is type(getattr(PLAYLIST, name))
            for name in PLAYLIST_MEMBERS
            if name not in ("playlist_name", "track_tokens")
        )
        and isinstance(state.get("playlist_name", "x"), str)
        and playlist_name_fault(state.get("playlist_name", "x")) is None
        and isinstance(state.get("track_tokens", []), list)
        and all(isinstance(token, str) and track_token_fault(token) is None for token in state.get("track_tokens", []))
    )


def breaks_our_rules(document: list[Members], states: list[Members]) -> bool:
    """Whether we may refuse a patch that the oracle takes."""
    for operation in document:
        location = Location.parse(operation["path"])
        if operation["op"] != "test" and (location is None or not location.is_changeable):
            return True
        if operation["op"] == "move" and operation["from"] == operation["path"] == "":
            return True
    return not all(map(is_allowed, states)) or not states[-1].keys() >= set(PLAYLIST_MEMBERS)


@settings(max_examples=400)
@given(st.lists(_OPERATION, max_size=3) | st.lists(_FITTING | _OPERATION, max_size=8) | st.lists(_FITTING, max_size=12))
def test_oracle_makes_the_same_of_a_patch(document: list[Members]) -> None:
    states, refused = oracle(document)

    try:
        changed = JsonPatch.parse(document).apply(PLAYLIST)
    except PatchNotApplicable as error:
        conflict = str(error)
        assert f"operation /{refused} (" in conflict
    except InvalidChange:
        assert refused is not None or breaks_our_rules(document, states)
    else:
        assert refused is None
        assert {**members_of(PLAYLIST), **set_members(changed)} == states[-1]


VECTORS = Path(__file__).parent / "json_patch_vectors"


class DoesNotApply(Exception):
    """The vector is about a document that no playlist can stand for."""


class Embedding:
    """Puts a vector's document into a playlist.

    An array of scalars, as a member or as the whole document, stands for the tracks; a member with a
    scalar for the name. Scalars become track tokens, distinct for distinct JSON texts. A vector
    with anything else in its document, its patch or its expectation does not apply.
    """

    def __init__(self, document: Any) -> None:
        self._is_object = isinstance(document, dict)
        self._targets: dict[str, str] = {}
        for name, value in self._members(document).items():
            target = "track_tokens" if isinstance(value, list) else "playlist_name"
            if target in self._targets.values():
                raise DoesNotApply
            self._targets[name] = target

    def content(self, document: Any) -> Members:
        members = self._members(document)
        if members.keys() != self._targets.keys():
            raise DoesNotApply
        return {target: self._value(f"/{target}", members[name]) for name, target in self._targets.items()}

    def operation(self, members: Members) -> Members:
        embedded = dict(members)
        for name in ("path", "from"):
            if name in members:
                embedded[name] = self._pointer(members[name])
        if "value" in members:
            embedded["value"] = self._value(embedded["path"], members["value"])
        return embedded

    def _members(self, document: Any) -> Members:
        if isinstance(document, dict):
            return document
        if isinstance(document, list):
            return {"": document}
        raise DoesNotApply

    def _pointer(self, pointer: str) -> str:
        name, slash, rest = (pointer.removeprefix("/") if self._is_object else pointer).partition("/")
        if name not in self._targets:
            raise DoesNotApply
        return f"/{self._targets[name]}{slash}{rest}"

    def _value(self, pointer: str, value: Any) -> Any:
        if pointer == "/track_tokens":
            if not isinstance(value, list):
                raise DoesNotApply
            return [self._value("/track_tokens/-", element) for element in value]
        if isinstance(value, list | dict):
            raise DoesNotApply
        return f"X/{json.dumps(value)}"


def vectors_that_apply(file_name: str) -> list[Any]:
    found = []
    for number, vector in enumerate(json.loads((VECTORS / file_name).read_text())):
        if vector.get("disabled"):
            continue
        try:
            embedding = Embedding(vector["doc"])
            before = embedding.content(vector["doc"])
            patch = [embedding.operation(operation) for operation in vector["patch"]]
            after = None if "error" in vector else embedding.content(vector.get("expected", vector["doc"]))
        except DoesNotApply:
            continue
        what = vector.get("comment") or vector.get("error") or "no comment"
        found.append(pytest.param(before, patch, after, id=f"{file_name} {number}: {what}"))
    return found


APPLICABLE = [*vectors_that_apply("tests.json"), *vectors_that_apply("spec_tests.json")]


def test_no_vector_that_applies_has_vanished() -> None:
    # The other 52 are about objects that gain or lose members, nested values, or are disabled.
    assert len(APPLICABLE) == 43


@pytest.mark.parametrize(("before", "patch", "after"), APPLICABLE)
def test_vector_gets_what_it_expects(before: Members, patch: list[Members], after: Members | None) -> None:
    playlist = a_playlist(**{**before, "track_tokens": tuple(before.get("track_tokens", ()))})
    if after is None:
        with pytest.raises((InvalidChange, PatchNotApplicable)):
            JsonPatch.parse(patch).apply(playlist)
        return

    changed = JsonPatch.parse(patch).apply(playlist)

    assert set_members(changed) == {**set_members(playlist.content), **after}
