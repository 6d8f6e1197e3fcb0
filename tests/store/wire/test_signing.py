"""Signatures, held against botocore's own."""

from datetime import UTC, datetime

import botocore.auth
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given, settings
from hypothesis import strategies as st

from app.store.wire.signing import CONTENT_TYPE, TARGET_PREFIX, Signer

DAY_SECONDS = 24 * 60 * 60

visible = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40)
credentials = st.builds(
    ReadOnlyCredentials,
    access_key=visible,
    secret_key=st.text(st.characters(codec="utf-8"), max_size=60),
    token=st.none() | st.just("") | visible,
)
regions = st.sampled_from(["us-east-1", "eu-central-2", "us-gov-west-1", "cn-north-1", "local"])
# As a URL has it, and as the Host header does.
hosts = st.sampled_from(
    [
        ("https://dynamodb.us-east-1.amazonaws.com", "dynamodb.us-east-1.amazonaws.com"),
        ("https://dynamodb.us-east-1.amazonaws.com:443", "dynamodb.us-east-1.amazonaws.com"),
        ("http://localhost:8000", "localhost:8000"),
        ("http://127.0.0.1", "127.0.0.1"),
        ("http://127.0.0.1:80/", "127.0.0.1"),
        ("https://127.0.0.1:80", "127.0.0.1:80"),
        ("http://[::1]:8000", "[::1]:8000"),
    ]
)
operations = st.sampled_from(["GetItem", "PutItem", "DeleteItem", "UpdateItem"])
# Around midnights, and anywhere up to the year 2100.
times = st.builds(
    lambda day, seconds: day * DAY_SECONDS + seconds,
    st.integers(1, 47_000),
    st.floats(-1.5, 1.5) | st.floats(0, DAY_SECONDS, exclude_max=True),
)
calls = st.tuples(operations, st.binary(max_size=200), times)


def signed_by_botocore(
    credential: ReadOnlyCredentials, region: str, url: str, operation: str, body: bytes, at: float
) -> dict[str, str]:
    headers = {"X-Amz-Target": TARGET_PREFIX + operation, "Content-Type": CONTENT_TYPE}
    request = AWSRequest(method="POST", url=url, data=body, headers=headers)
    with pytest.MonkeyPatch.context() as clock:
        clock.setattr(botocore.auth, "get_current_datetime", lambda: datetime.fromtimestamp(int(at), UTC))
        SigV4Auth(credential, "dynamodb", region).add_auth(request)
    return {name: value for name, value in request.headers.items() if name not in headers}


def headers_in(lines: bytes) -> dict[str, str]:
    assert lines.endswith(b"\r\n")
    return dict(line.split(": ", 1) for line in lines.decode().removesuffix("\r\n").split("\r\n"))


@settings(max_examples=2_000, deadline=None)
@given(credentials, regions, hosts, st.lists(calls, min_size=1, max_size=5))
def test_signature_is_botocores_whatever_was_signed_before(
    credential: ReadOnlyCredentials, region: str, host: tuple[str, str], calls: list[tuple[str, bytes, float]]
) -> None:
    url, host_header = host
    signer = Signer(credential, host=host_header, region=region)

    for operation, body, at in calls:
        assert headers_in(signer.headers(operation, body, at=at)) == signed_by_botocore(
            credential, region, url, operation, body, at
        )


@pytest.mark.parametrize("seconds", [-1, -0.001, 0, 0.999, 1], ids=str)
@pytest.mark.parametrize("later", [1, -1], ids=["forwards", "backwards"])
def test_key_is_renewed_at_midnight_whichever_way_the_clock_goes(seconds: float, later: int) -> None:
    credential = ReadOnlyCredentials("AKID", "secret", None)
    signer = Signer(credential, host="localhost", region="us-east-1")
    midnight = 20_000 * DAY_SECONDS
    signer.headers("GetItem", b"{}", at=midnight - later)

    lines = signer.headers("GetItem", b"{}", at=midnight + seconds)

    assert headers_in(lines) == signed_by_botocore(
        credential, "us-east-1", "http://localhost", "GetItem", b"{}", midnight + seconds
    )


UNFIT = [" ", "a b", "a\r\nX: 1", "a\n", "\ta", "ä", "\x00", "\x7f", "\udc80"]
# An empty session token is none, as with botocore.
UNFIT_PARTS = [
    *((part, unfit) for part in ("access_key", "token", "host", "region") for unfit in UNFIT),
    *((part, "") for part in ("access_key", "host", "region")),
]


@pytest.mark.parametrize(("part", "unfit"), UNFIT_PARTS)
def test_what_no_header_can_carry_is_refused(part: str, unfit: str) -> None:
    parts = {"access_key": "AKID", "secret_key": "secret", "token": "token", "host": "localhost", "region": "r"}
    parts[part] = unfit

    with pytest.raises(ValueError, match="no header can carry"):
        Signer(
            ReadOnlyCredentials(parts["access_key"], parts["secret_key"], parts["token"]),
            host=parts["host"],
            region=parts["region"],
        )
