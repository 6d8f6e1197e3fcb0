"""The issuer's keys: which ones are taken, and when they are read."""

import asyncio
import json
import os
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from app.api.jwks import SET_SIZE_LIMIT, IssuerKeys, KeySetUnavailable, VerificationKey
from tests.issuer import Issuer, base64url, key_of, public_jwk

FOR_GOOD = 3_600.0


@pytest.fixture
def outcomes() -> list[str]:
    return []


@pytest.fixture
async def keys(issuer: Issuer, outcomes: list[str]) -> IssuerKeys:
    keys = IssuerKeys(issuer.url, max_age=FOR_GOOD, on_refresh=outcomes.append)
    await keys.load()
    return keys


@pytest.fixture
async def restless(issuer: Issuer, outcomes: list[str]) -> AsyncIterator[IssuerKeys]:
    """Keys that are read again all the time."""
    keys = IssuerKeys(issuer.url, max_age=0.01, cool_down=FOR_GOOD, on_refresh=outcomes.append)
    async with keys.kept_fresh():
        await until(lambda: keys.are_there)
        yield keys


async def until(happened: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not happened():  # noqa: ASYNC110 (the issuer answers in a thread of its own)
            await asyncio.sleep(0.001)


async def kid_found(keys: IssuerKeys, kid: str | None, algorithm: str = "RS256") -> str | None:
    key = await keys.find(algorithm=algorithm, kid=kid)
    return None if key is None else key.kid


class TestWhichKeys:
    @pytest.mark.parametrize(
        ("kid", "algorithms"),
        [
            ("rsa-1", {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}),
            ("p256-1", {"ES256"}),
            ("p384-1", {"ES384"}),
            ("p521-1", {"ES512"}),
            ("ed25519-1", {"EdDSA", "Ed25519"}),
        ],
    )
    def test_key_serves_the_algorithms_of_its_kind(self, kid: str, algorithms: set[str]) -> None:
        key = VerificationKey.from_jwk(public_jwk(kid))

        assert key is not None
        assert key.algorithms == algorithms

    @pytest.mark.parametrize(
        "members",
        [{"use": "sig"}, {"key_ops": ["verify"]}, {"alg": "PS256"}, {"x5c": ["AAAA"], "x5t": "AAAA"}, {"ext": True}],
        ids=str,
    )
    def test_key_for_signatures_is_taken(self, members: dict[str, Any]) -> None:
        key = VerificationKey.from_jwk(public_jwk("rsa-1", **members))

        assert key is not None
        assert key.algorithms == ({"PS256"} if "alg" in members else key.algorithms)

    @pytest.mark.parametrize(
        "jwk",
        [
            public_jwk("rsa-1", use="enc"),
            public_jwk("rsa-1", key_ops=["encrypt"]),
            public_jwk("rsa-1", key_ops="verify"),
            public_jwk("rsa-1", key_ops=[]),
            public_jwk("rsa-1", alg="RSA-OAEP"),
            public_jwk("rsa-1", alg="HS256"),
            public_jwk("rsa-1", alg="ES256"),
            public_jwk("rsa-1", alg=["RS256"]),
            {**public_jwk("rsa-1"), "kid": 1},
            {**public_jwk("rsa-1"), "n": "AQAB"},
            {**public_jwk("rsa-1"), "n": 3},
            {**public_jwk("rsa-1"), "n": ""},
            {**public_jwk("rsa-1"), "e": "AQ"},
            {name: value for name, value in public_jwk("rsa-1").items() if name != "e"},
            {**public_jwk("p256-1"), "x": public_jwk("p256-2")["x"]},
            {**public_jwk("p256-1"), "crv": "P-384"},
            {**public_jwk("p256-1"), "crv": "secp256k1"},
            {**public_jwk("ed25519-1"), "crv": "Ed448"},
            {**public_jwk("ed25519-1"), "crv": "X25519"},
            {**public_jwk("ed25519-1"), "x": "AAAA"},
            key_of("rsa-1").as_dict(private=True),
            key_of("ed25519-1").as_dict(private=True),
            {"kty": "oct", "k": "c2VjcmV0", "kid": "rsa-1"},
            {"kty": ["RSA"]},
            {},
            [],
            "rsa-1",
            None,
        ],
    )
    def test_key_that_is_none_to_verify_with_is_left_out(self, jwk: object) -> None:
        assert VerificationKey.from_jwk(jwk) is None

    def test_rsa_key_of_fewer_than_2048_bits_is_left_out(self) -> None:
        # No products of two primes, but nobody can tell.
        of_2047_bits, of_2048_bits = (b"\x7f" + b"\xff" * 255, b"\xff" * 256)

        taken = [
            VerificationKey.from_jwk({**public_jwk("rsa-1"), "n": base64url(modulus)}) is not None
            for modulus in (of_2047_bits, of_2048_bits)
        ]

        assert taken == [False, True]

    @pytest.mark.parametrize(
        ("jwk", "algorithm", "token"),
        [
            (
                {
                    "kty": "EC",
                    "crv": "P-256",
                    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
                },
                "ES256",
                "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290"
                "Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
            ),
            (
                {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
                "EdDSA",
                "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhi"
                "jcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
            ),
        ],
        ids=["RFC 7515 appendix A.3", "RFC 8037 appendix A.4"],
    )
    def test_signature_of_the_specification_is_verified(self, jwk: object, algorithm: str, token: str) -> None:
        key = VerificationKey.from_jwk(jwk)
        signed, _, signature = token.rpartition(".")

        assert key is not None
        assert key.verifies(urlsafe_b64decode(signature + "=="), signed.encode(), algorithm=algorithm)
        assert not key.verifies(urlsafe_b64decode(signature + "=="), signed.encode() + b"A", algorithm=algorithm)
        assert not key.verifies(bytes(64), signed.encode(), algorithm=algorithm)

    async def test_others_of_the_set_are_passed_over(self, issuer: Issuer) -> None:
        issuer.keys = [None, {"kty": "oct", "k": "AAAA"}, public_jwk("rsa-2", use="enc"), public_jwk("rsa-1")]
        keys = IssuerKeys(issuer.url, max_age=FOR_GOOD)
        await keys.load()

        assert await kid_found(keys, "rsa-1") == "rsa-1"
        assert await kid_found(keys, "rsa-2") is None

    async def test_no_kid_fits_one_key_of_the_algorithm_alone(self, issuer: Issuer) -> None:
        issuer.keys = [public_jwk("rsa-1"), public_jwk("rsa-2"), public_jwk("p256-1")]
        keys = IssuerKeys(issuer.url, max_age=FOR_GOOD)
        await keys.load()

        assert await kid_found(keys, None, "ES256") == "p256-1"
        assert await kid_found(keys, None, "RS256") is None

    async def test_kid_that_two_keys_have_fits_none(self, issuer: Issuer) -> None:
        issuer.keys = [public_jwk("rsa-1"), {**public_jwk("rsa-2"), "kid": "rsa-1"}]
        keys = IssuerKeys(issuer.url, max_age=FOR_GOOD)
        await keys.load()

        assert await kid_found(keys, "rsa-1") is None


class TestUnknownKey:
    async def test_key_that_is_in_the_set_is_found_without_asking(self, issuer: Issuer, keys: IssuerKeys) -> None:
        assert await kid_found(keys, "rsa-1") == "rsa-1"
        assert issuer.fetches == 1

    async def test_new_key_of_the_issuer_is_found(self, issuer: Issuer, keys: IssuerKeys) -> None:
        issuer.keys.append(public_jwk("rsa-2"))

        assert await kid_found(keys, "rsa-2") == "rsa-2"

    async def test_fifty_at_once_ask_once(self, issuer: Issuer, keys: IssuerKeys) -> None:
        issuer.keys.append(public_jwk("rsa-2"))
        issuer.open.clear()
        kids = ["rsa-2"] * 25 + [f"made-up-{number}" for number in range(25)]

        searches = [asyncio.create_task(kid_found(keys, kid)) for kid in kids]
        await until(lambda: issuer.fetches == 2)
        issuer.open.set()
        found = await asyncio.gather(*searches)

        assert found == ["rsa-2"] * 25 + [None] * 25
        assert issuer.fetches == 2

    async def test_unknown_key_is_not_asked_for_again_within_the_cool_down(
        self, issuer: Issuer, keys: IssuerKeys
    ) -> None:
        for number in range(5):
            assert await kid_found(keys, f"made-up-{number}") is None

        assert issuer.fetches == 2

    async def test_unknown_key_is_asked_for_again_after_the_cool_down(self, issuer: Issuer) -> None:
        keys = IssuerKeys(issuer.url, max_age=FOR_GOOD, cool_down=0)
        await keys.load()
        assert await kid_found(keys, "rsa-2") is None
        issuer.keys.append(public_jwk("rsa-2"))

        assert await kid_found(keys, "rsa-2") == "rsa-2"
        assert issuer.fetches == 3

    async def test_known_keys_are_found_while_an_unknown_one_is_asked_for(
        self, issuer: Issuer, keys: IssuerKeys
    ) -> None:
        issuer.open.clear()
        search = asyncio.create_task(kid_found(keys, "made-up"))
        await until(lambda: issuer.fetches == 2)

        assert await kid_found(keys, "rsa-1") == "rsa-1"
        assert not search.done()
        issuer.open.set()
        assert await search is None

    async def test_client_that_gives_up_does_not_take_the_answer_from_others(
        self, issuer: Issuer, keys: IssuerKeys
    ) -> None:
        issuer.keys.append(public_jwk("rsa-2"))
        issuer.open.clear()
        given_up, other = (asyncio.create_task(kid_found(keys, "rsa-2")) for _ in range(2))
        await until(lambda: issuer.fetches == 2)
        given_up.cancel()
        await asyncio.wait({given_up})

        issuer.open.set()

        assert await other == "rsa-2"
        assert issuer.fetches == 2


class TestKeptFresh:
    async def test_set_is_read_anew_without_being_asked_for(
        self, issuer: Issuer, restless: IssuerKeys, outcomes: list[str]
    ) -> None:
        issuer.keys = [public_jwk("rsa-2")]
        # One may have been under way.
        heard = len(outcomes)
        await until(lambda: len(outcomes) >= heard + 2)

        assert await kid_found(restless, "rsa-2") == "rsa-2"
        assert await kid_found(restless, "rsa-1") is None

    async def test_last_set_stays_while_the_issuer_fails(
        self, issuer: Issuer, restless: IssuerKeys, outcomes: list[str]
    ) -> None:
        issuer.status = 500
        await until(lambda: outcomes.count("failed") >= 3)

        assert await kid_found(restless, "rsa-1") == "rsa-1"
        assert restless.are_there

    async def test_set_comes_back_after_a_failure(
        self, issuer: Issuer, restless: IssuerKeys, outcomes: list[str]
    ) -> None:
        issuer.status = 500
        await until(lambda: outcomes[-1] == "failed")
        issuer.status = 200
        issuer.keys = [public_jwk("rsa-2")]
        await until(lambda: outcomes[-1] == "ok")

        assert await kid_found(restless, "rsa-2") == "rsa-2"

    async def test_nothing_is_read_after_the_end(self, issuer: Issuer, outcomes: list[str]) -> None:
        keys = IssuerKeys(issuer.url, max_age=0.01, on_refresh=outcomes.append)
        issuer.open.clear()
        before = asyncio.all_tasks()
        async with keys.kept_fresh():
            await until(lambda: issuer.fetches == 1)
        issuer.open.set()

        assert not outcomes
        assert asyncio.all_tasks() == before

    async def test_age_is_that_of_the_set_and_not_of_the_last_attempt(self, issuer: Issuer) -> None:
        keys = IssuerKeys(issuer.url, max_age=FOR_GOOD)
        assert keys.age is None
        assert not keys.are_there
        await keys.load()
        await asyncio.sleep(0.05)
        before = keys.age
        issuer.status = 500

        await keys.refresh()

        assert keys.age is not None
        assert before is not None
        assert keys.age >= before


def answers(**answer: Any) -> Callable[[Issuer], None]:
    def set_up(issuer: Issuer) -> None:
        for name, value in answer.items():
            setattr(issuer, name, value)

    return set_up


class TestUnusableSets:
    @pytest.mark.parametrize(
        ("set_up", "cause"),
        [
            (answers(status=404), "status 404"),
            (answers(status=204, content=b""), "status 204"),
            (answers(status=302, headers={"Location": "/jwks.json"}), "status 302"),
            (answers(content=b"<html>"), "no JSON"),
            (answers(content=b'{"keys": [], "keys": []}'), "no JSON"),
            (answers(content=b"[]"), "no JWK Set"),
            (answers(content=b'{"keys": {}}'), "no JWK Set"),
            (answers(content=json.dumps(public_jwk("rsa-1")).encode()), "no JWK Set"),
            (answers(keys=[]), "no public key"),
            (answers(keys=[{"kty": "oct", "k": "AAAA"}]), "no public key"),
            (answers(content=b" " * (SET_SIZE_LIMIT + 1)), "more than 1,048,576 bytes"),
        ],
    )
    async def test_unusable_answer_is_told_and_the_last_set_kept(
        self, issuer: Issuer, keys: IssuerKeys, set_up: Callable[[Issuer], None], cause: str
    ) -> None:
        set_up(issuer)

        with pytest.raises(KeySetUnavailable, match=f"PLAYLISTS_JWT_JWKS={issuer.url}: .*{cause}"):
            await keys.load()

        assert await kid_found(keys, "rsa-1") == "rsa-1"

    async def test_set_of_the_largest_size_is_read(self, issuer: Issuer) -> None:
        content = json.dumps({"keys": issuer.keys}).encode()
        issuer.content = content + b" " * (SET_SIZE_LIMIT - len(content))
        keys = IssuerKeys(issuer.url, max_age=FOR_GOOD)

        await keys.load()

        assert keys.are_there

    async def test_outcomes_are_told_and_failures_logged(
        self, issuer: Issuer, keys: IssuerKeys, outcomes: list[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        await keys.refresh()
        issuer.status = 500
        await keys.refresh()

        assert outcomes == ["ok", "failed"]
        assert "status 500" in caplog.text

    async def test_issuer_that_cannot_be_reached_is_told(self, issuer: Issuer) -> None:
        keys = IssuerKeys("http://127.0.0.1:1/jwks.json", max_age=FOR_GOOD)

        with pytest.raises(KeySetUnavailable, match=r"127\.0\.0\.1:1"):
            await keys.load()

    async def test_no_key_can_be_told_from_an_unknown_one_before_there_is_a_set(self, issuer: Issuer) -> None:
        issuer.status = 500
        keys = IssuerKeys(issuer.url, max_age=FOR_GOOD)

        with pytest.raises(KeySetUnavailable):
            await keys.find(algorithm="RS256", kid="rsa-1")


class TestFiles:
    async def test_file_is_read_and_read_again(self, tmp_path: Path) -> None:
        file = tmp_path / "jwks.json"
        file.write_text(json.dumps({"keys": [public_jwk("rsa-1")]}))
        keys = IssuerKeys(str(file), max_age=FOR_GOOD)
        await keys.load()
        file.write_text(json.dumps({"keys": [public_jwk("rsa-2")]}))

        assert await kid_found(keys, "rsa-2") == "rsa-2"
        assert await kid_found(keys, "rsa-1") is None

    @pytest.mark.parametrize(
        ("make", "cause"),
        [
            (lambda path: None, "No such file"),
            (lambda path: path.mkdir(), "no file"),
            (os.mkfifo, "no file"),
            (lambda path: path.write_bytes(b" " * (SET_SIZE_LIMIT + 1)), "more than"),
            (lambda path: path.write_bytes(b"{"), "no JSON"),
        ],
        ids=["missing", "a directory", "a pipe", "too large", "no JSON"],
    )
    async def test_file_that_cannot_be_used_is_told(
        self, tmp_path: Path, make: Callable[[Path], object], cause: str
    ) -> None:
        path = tmp_path / "jwks.json"
        make(path)

        with pytest.raises(KeySetUnavailable, match=cause):
            await IssuerKeys(str(path), max_age=FOR_GOOD).load()
