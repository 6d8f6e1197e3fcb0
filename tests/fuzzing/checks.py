"""What schemathesis checks of each answer beside its own rules; it loads this as its hooks.

It runs in `.venv-contract`, so nothing of the service is imported here.
"""

import re
from typing import Any

import schemathesis

# Refusals that hang on what is stored, not on the form of the request.
_OF_THE_STATE = {"idempotency-key-reused", "playlist-too-large", "duplicate-track", "patch-not-applicable"}
_REFUSALS = {400, 413, 415, 422}
_CHOSEN_TOKEN = re.compile(r"[A-Za-z0-9_.~-]{1,128}")


@schemathesis.hook  # type: ignore[untyped-decorator]
def before_call(_: Any, case: Any, __: Any) -> None:
    """Let no header get the request refused where it is not the point, or the refusal would hide all else.

    The coverage phase cannot make a value that starts with a quote, and takes "0" for it.
    """
    for name in ("If-Match", "If-None-Match"):
        if case.headers.get(name) == "0":
            del case.headers[name]


@schemathesis.check  # type: ignore[untyped-decorator]
def refused_by_state(_: Any, response: Any, case: Any) -> None:
    """A request that fits every schema is not refused for its form."""
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code not in _REFUSALS:
        return
    # Cursors are opaque, so that one has the right form does not make it one.
    if "cursor" in (case.query or {}):
        return
    if case.method.upper() == "PUT":
        token = str(case.path_parameters["playlist_token"])
        # Only a playlist that is there may have another token than one that can be chosen; the body's is the path's.
        if not _CHOSEN_TOKEN.fullmatch(token) or case.body.get("playlist_token") not in (None, token):
            return
    # Which value an operation may have depends on its path, and some paths can be looked at only.
    if case.media_type == "application/json-patch+json":
        return
    # The answer to a HEAD has no body that would tell.
    if response.content and response.json()["code"] in _OF_THE_STATE:
        return
    raise AssertionError(f"a request that fits the document was refused: {response.status_code} {response.text}")
