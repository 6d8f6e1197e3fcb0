"""The JSON of answers."""

from collections.abc import Mapping
from typing import Any

import msgspec

from app.store.values import Strings


def _encodable(value: object) -> msgspec.Raw:
    if isinstance(value, Strings):
        return value.as_json()
    raise TypeError(f"no JSON is known for a {type(value).__name__}")


_ENCODER = msgspec.json.Encoder(enc_hook=_encodable)


def encoded_json(members: Mapping[str, Any]) -> bytes:
    """A JSON object in UTF-8; members may be the tracks of a playlist as the store has read them."""
    return _ENCODER.encode(members)
