"""DynamoDB's attribute values, as the JSON text that they travel in.

Most of what is read goes back unread in a PutItem, and most of a large item is one list of strings.
So an item is not taken apart: each value stays the text that came, to the byte, and is decoded where
somebody asks for it.

https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html
"""

import re
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeAlias

import msgspec

from app.domain.errors import StorageUnavailable

# One key, the type descriptor, and the value: {"S":"text"}, {"L":[{"N":"1"}]}.
AttributeValue: TypeAlias = msgspec.Raw
Item: TypeAlias = dict[str, AttributeValue]

# A list of strings, as DynamoDB writes it. Without a backslash in it, each quote begins or ends a string.
_LIST_OPENING, _LIST_CLOSING, _STRING_OPENING = b'{"L":[', b"]}", b'{"S":'
_LIST_HEAD, _LIST_SEPARATOR, _LIST_TAIL = b'{"L":[{"S":"', b'"},{"S":"', b'"}]}'
_BYTES_PER_CHARACTER = 4  # At most.


class _String(msgspec.Struct, forbid_unknown_fields=True):
    S: str


class _Number(msgspec.Struct, forbid_unknown_fields=True):
    N: str


class _List(msgspec.Struct, forbid_unknown_fields=True):
    L: list[msgspec.Raw]


# ValidationError among them. The last is of text that is not UTF-8.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError)
# DynamoDB has 38 significant digits and exponents to 125; it writes numbers of up to some 130 characters.
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,200}\.?[0-9]{0,200}|\.[0-9]{1,200})(?:[eE][+-]?[0-9]{1,3})?")

_encode = msgspec.json.Encoder().encode
_string_in = msgspec.json.Decoder(_String).decode
_number_in = msgspec.json.Decoder(_Number).decode
_list_in = msgspec.json.Decoder(_List).decode
_strings_in = msgspec.json.Decoder(tuple[str, ...]).decode
_plain_in = msgspec.json.Decoder(dict[str, Any]).decode
_anything_in = msgspec.json.Decoder().decode


def encoded(value: dict[str, Any]) -> AttributeValue:
    """A value in the form that the SDK's documentation shows: {"S": "text"}, {"B": b"bytes"}."""
    return msgspec.Raw(_encode(value))


def decoded(value: AttributeValue) -> dict[str, Any]:
    """The same, the other way."""
    return _with_bytes(_plain_in(value))


def encoded_item(item: Mapping[str, Any]) -> Item:
    """An item in the SDK's form as one of values in their JSON text."""
    return {name: encoded(value) for name, value in item.items()}


def string(text: str) -> AttributeValue:
    return msgspec.Raw(_encode({"S": text}))


def number(integer: int) -> AttributeValue:
    return msgspec.Raw(_encode({"N": str(integer)}))


def string_list(strings: Sequence[str]) -> AttributeValue:
    """A list of strings, in order."""
    text = _encode(tuple(strings))
    if not strings or b"\\" in text:
        return encoded({"L": [{"S": string} for string in strings]})
    return msgspec.Raw(_LIST_HEAD + text[2:-2].replace(b'","', _LIST_SEPARATOR) + _LIST_TAIL)


def string_of(value: AttributeValue | None) -> str | None:
    """The string; None where there is none, or a value of another kind. Raises StorageUnavailable."""
    if value is None:
        return None
    try:
        return _string_in(value).S
    except _UNREADABLE:
        _plain(value)
        return None


def number_of(value: AttributeValue | None) -> int | Decimal | None:
    """The number, in full; None where there is none, or a value of another kind. Raises StorageUnavailable."""
    if value is None:
        return None
    try:
        text = _number_in(value).N
    except _UNREADABLE:
        _plain(value)
        return None
    if not _NUMBER.fullmatch(text):
        raise impossible("a number")
    return int(text) if text.isdecimal() else Decimal(text)


def elements_of(value: AttributeValue | None) -> list[AttributeValue] | None:
    """The elements of a list; None where there is none, or a value of another kind. Raises StorageUnavailable."""
    if value is None:
        return None
    try:
        return _list_in(value).L
    except _UNREADABLE:
        _plain(value)
        return None


def impossible(what: str) -> StorageUnavailable:
    """The error for what DynamoDB cannot have written. The log must not have the value: it may be a playlist's name."""
    return StorageUnavailable(f"DynamoDB's answer has {what} of a form that it never writes", passing=False)


def _plain(value: AttributeValue) -> dict[str, Any]:
    """The value in the SDK's form, but for bytes, which stay base64. Raises StorageUnavailable."""
    try:
        plain = _anything_in(value)
    except _UNREADABLE as error:
        raise impossible("a value") from error
    if not _is_plain_value(plain):
        raise impossible("a value")
    return plain  # type: ignore[no-any-return]


def first_of(value: AttributeValue | None) -> AttributeValue | None:
    """The first element of a list; None where there is none."""
    if value is None:
        return None
    text = bytes(value)
    if text.startswith(_LIST_HEAD):
        string = text[len(_LIST_HEAD) : text.index(b'"', len(_LIST_HEAD))]
        if b"\\" not in string:
            return msgspec.Raw(b'{"S":"%b"}' % string)
    elements = elements_of(value)
    return elements[0] if elements else None


class Strings(Sequence[str]):
    """The strings of a list in their order, or of a string set, sorted. Elements of other kinds are left out.

    A list is decoded once somebody looks at its strings. `element_count` is the number of elements in the
    value, those that are left out among them; a value that has no elements counts as one, and NULL as none.
    Equal to every sequence of the same strings.
    """

    __slots__ = ("_decoded", "_json", "element_count")

    def __init__(self, value: AttributeValue | None) -> None:
        self._decoded: tuple[str, ...] | None = None
        if (array := _array_of_strings(value)) is not None:
            json, self.element_count = array
        else:
            self._decoded, self.element_count = _strings_and_count(value)
            json = _encode(self._decoded)
        self._json = msgspec.Raw(json)

    def __getitem__(self, index: Any) -> Any:
        return self._strings[index]

    def __len__(self) -> int:
        return self.element_count if self._decoded is None else len(self._decoded)

    def __iter__(self) -> Iterator[str]:
        return iter(self._strings)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Strings):
            return self._json == other._json
        return isinstance(other, Sequence) and self._strings == tuple(other)

    def __hash__(self) -> int:
        return hash(self._strings)

    def __repr__(self) -> str:
        return repr(self._strings)

    def as_json(self) -> msgspec.Raw:
        """A JSON array of them: the same bytes for the same strings."""
        return self._json

    @property
    def _strings(self) -> tuple[str, ...]:
        if self._decoded is None:
            self._decoded = _strings_in(self._json)
        return self._decoded


def with_first(value: AttributeValue | None, first: AttributeValue, *, most: int) -> AttributeValue:
    """The list of strings with one more string before its first, cut to `most` (2 or more).

    Elements of other kinds are left out.
    """
    text = b"" if value is None else bytes(value)
    separators = text.count(_LIST_SEPARATOR)
    # The list has a brace, and so has each element: one that is no string has no separator before it.
    are_strings = text.startswith(_LIST_HEAD) and text.count(b"{") == separators + 2 and b"\\" not in text
    if not are_strings:
        return string_list((_string_in(first).S, *strings_of(value))[:most])
    if separators + 2 > most:
        text = text.rsplit(_LIST_SEPARATOR, separators + 2 - most)[0] + _LIST_TAIL
    return msgspec.Raw(b"%b%b,%b" % (_LIST_OPENING, first, text[len(_LIST_OPENING) :]))


def strings_of(value: AttributeValue | None) -> tuple[str, ...]:
    """The strings of a list; elements of other kinds are left out."""
    if (array := _array_of_strings(value)) is not None:
        return _strings_in(array[0])
    elements = elements_of(value) or ()
    return tuple(string for element in elements if (string := string_of(element)) is not None)


def _strings_and_count(value: AttributeValue | None) -> tuple[tuple[str, ...], int]:
    if value is None:
        return (), 0
    [(kind, content)] = _plain(value).items()
    match kind:
        case "L":
            return tuple(element["S"] for element in content if "S" in element), len(content)
        case "SS":
            return tuple(sorted(content)), len(content)
        case "NS" | "BS" | "M":
            return (), len(content)
        case "NULL":
            return (), 0
        case _:
            return (), 1


def _array_of_strings(value: AttributeValue | None) -> tuple[bytes, int] | None:
    """A list as a JSON array of its strings, and their number; None if one has an escape or a brace, or if it has
    other elements.

    DynamoDB stores no other value under S than a string, and writes no white space.
    """
    if value is None:
        return None
    text = bytes(value)
    if not text.startswith(_LIST_HEAD) or not text.endswith(_LIST_TAIL) or b"\\" in text:
        return None
    # In two steps, because a search for the whole separator would stop at each quote. No opening stands in a string,
    # which would escape its quotes; closings may, and are too many then.
    elements = text[len(_LIST_OPENING) : -len(_LIST_CLOSING)]
    without_openings = elements.replace(_STRING_OPENING, b"")
    strings = without_openings.replace(b"}", b"")
    openings = (len(elements) - len(without_openings)) // len(_STRING_OPENING)
    if b"{" in strings or len(without_openings) - len(strings) != openings:
        return None
    return b"[%b]" % strings, openings


def are_equal(one: AttributeValue | None, other: AttributeValue | None) -> bool:
    """Whether both are the same value, however it is written (JSON has several ways), or both are none."""
    if one is None or other is None or one == other:
        return one is other or one == other
    return decoded(one) == decoded(other)


def is_plain_item(item: Any) -> bool:
    """Whether DynamoDB can have written the item: each value of one of its types, with content of that type."""
    return isinstance(item, dict) and all(map(_is_plain_value, item.values()))


def _is_plain_value(value: Any) -> bool:
    if not isinstance(value, dict) or len(value) != 1:
        return False
    [(kind, content)] = value.items()
    match kind:
        case "S" | "N" | "B":
            return isinstance(content, str)
        case "BOOL":
            return isinstance(content, bool)
        case "NULL":
            return content is True
        case "SS" | "NS" | "BS":
            return isinstance(content, list) and all(isinstance(element, str) for element in content)
        case "L":
            return isinstance(content, list) and all(map(_is_plain_value, content))
        case "M":
            return isinstance(content, dict) and all(map(_is_plain_value, content.values()))
        case _:
            return False


def item_size(item: Item) -> int:
    """Bytes by DynamoDB's rule; numbers without their leading and trailing zeros.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    return sum(len(name.encode()) + _value_size(decoded(value)) for name, value in item.items())


def item_size_bound(item: Item) -> int:
    """At least the bytes that DynamoDB counts, found without decoding: no value takes less as JSON."""
    return _BYTES_PER_CHARACTER * sum(map(len, item)) + sum(map(len, item.values()))


def _with_bytes(value: dict[str, Any]) -> dict[str, Any]:
    [(kind, content)] = value.items()
    match kind:
        case "B":
            return {kind: b64decode(content)}
        case "BS":
            return {kind: [b64decode(element) for element in content]}
        case "L":
            return {kind: [_with_bytes(element) for element in content]}
        case "M":
            return {kind: {name: _with_bytes(element) for name, element in content.items()}}
        case _:
            return value


def _value_size(value: dict[str, Any]) -> int:
    [(kind, content)] = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "N":
            return _number_size(content)
        case "B":
            return len(content)
        case "L":
            return 3 + sum(1 + _value_size(element) for element in content)
        case "M":
            return 3 + sum(1 + len(name.encode()) + _value_size(element) for name, element in content.items())
        case "SS":
            return sum(len(element.encode()) for element in content)
        case "NS":
            return sum(_number_size(element) for element in content)
        case "BS":
            return sum(len(element) for element in content)
        case _:  # NULL and BOOL
            return 1


def _number_size(number: str) -> int:
    digits = len(number.lstrip("-").replace(".", "").strip("0"))
    return 1 + (digits + 1) // 2 + number.startswith("-")
