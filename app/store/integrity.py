"""Whether an answer is the one that DynamoDB sent."""

import json
import zlib

from botocore.exceptions import BotoCoreError

from app.store.values import is_plain_item


class CorruptAnswer(BotoCoreError):  # type: ignore[misc]
    """An answer that was damaged on its way; botocore would take it for one without content."""

    fmt = "{event} does not have the content that was sent"


def check_integrity(event: str, status: int, checksum: bytes | None, body: bytes) -> None:
    """Hold an answer against its checksum, which botocore leaves to the retries that are off here.

    Without one (an engine or a proxy that sends none) the content has to be a JSON object at least:
    botocore reads other content as an answer with nothing in it, so a write would seem to be made
    and a read would find no item; and a refusal that DynamoDB did not write proves nothing. Raises
    CorruptAnswer.
    """
    intact = _is_answer(body) if checksum is None else checksum == b"%d" % zlib.crc32(body)
    if not intact or 200 < status < 400:
        raise CorruptAnswer(event=event)


def check_items(event: str, body: bytes) -> None:
    """Raises CorruptAnswer if an item or attributes in the content are none that DynamoDB can have written."""
    try:
        answer = json.loads(body)
    except ValueError:
        return
    if not isinstance(answer, dict):
        return
    items = [answer.get("Item"), answer.get("Attributes"), *(answer.get("Items") or ())]
    if not all(item is None or is_plain_item(item) for item in items):
        raise CorruptAnswer(event=event)


def _is_answer(body: bytes) -> bool:
    try:
        answer = json.loads(body)
    except ValueError:
        return False
    return isinstance(answer, dict) and isinstance(answer.get("Item", {}), dict)
