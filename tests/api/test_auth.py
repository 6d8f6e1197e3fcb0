"""Who gets in: tokens of an issuer whose keys are served over HTTP, and the scopes in them."""

import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.settings import Settings
from tests.api.test_playlists import code_of
from tests.engines import PROJECT
from tests.issuer import AUDIENCE, ISSUER, Issuer, base64url, key_of, part, public_jwk, signed

DOCUMENT: dict[str, Any] = json.loads((PROJECT / "openapi" / "openapi.json").read_text())
OPERATIONS = [
    pytest.param(method.upper(), path, operation, id=operation["operationId"])
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
]
GUARDED = [operation for operation in OPERATIONS if "security" in operation.values[2]]  # type: ignore[operator]
OPEN = [operation for operation in OPERATIONS if operation not in GUARDED]
NEW = {"playlist_name": "New", "track_tokens": []}
EVIL = "https://evil.example"


@pytest.fixture
def settings(table_name: str, issuer: Issuer) -> Settings:
    return issuer.settings(table_name=table_name)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def assert_no_call_was_made(http: httpx2.AsyncClient) -> None:
    assert "playlists_dynamodb_calls_total{" not in (await http.get("/metrics")).text


def hmac_token(issuer: Issuer, secret: bytes, algorithm: str = "HS256") -> str:
    content = f"{part({'typ': 'at+jwt', 'alg': algorithm, 'kid': 'rsa-1'})}.{part(issuer.claims())}"
    return f"{content}.{base64url(hmac.new(secret, content.encode(), hashlib.sha256).digest())}"


def unsigned_token(issuer: Issuer, algorithm: str, signature: str = "") -> str:
    return f"{part({'typ': 'at+jwt', 'alg': algorithm, 'kid': 'rsa-1'})}.{part(issuer.claims())}.{signature}"


def with_twice(issuer: Issuer, name: str, value: object) -> bytes:
    """The payload with one more member of that name in front."""
    return b"{" + json.dumps({name: value}).encode()[1:-1] + b"," + json.dumps(issuer.claims()).encode()[1:]


def resigned(token: str, payload: dict[str, Any]) -> str:
    """The token with another payload under its signature."""
    header, _, signature = token.split(".")
    return f"{header}.{part(payload)}.{signature}"


def noncanonical(token: str) -> str:
    """The token with the bits that no byte uses set: RSA's 256 bytes take 342 characters."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + alphabet[alphabet.index(token[-1]) | 1]


PUBLIC = "rsa-1"
BAD_TOKENS: dict[str, Callable[[Issuer], str]] = {
    # Algorithms.
    **{
        f"alg {alg}": lambda issuer, alg=alg: unsigned_token(issuer, alg)  # type: ignore[misc]
        for alg in ("none", "None", "NONE", "nOnE", "")
    },
    "alg none with a signature": lambda issuer: unsigned_token(issuer, "none", "AAAA"),
    "alg none signed with the key": lambda issuer: issuer.token(header={"alg": "none"}, kid=PUBLIC),
    "alg that is unknown": lambda issuer: unsigned_token(issuer, "XS256", "AAAA"),
    "alg missing": lambda issuer: issuer.token(header={"alg": None}),
    "alg no string": lambda issuer: issuer.token(header={"alg": 256}),
    "alg in lower case": lambda issuer: issuer.token(header={"alg": "rs256"}),
    "alg of another family": lambda issuer: issuer.token().replace(
        part({"typ": "at+jwt", "alg": "RS256", "kid": "rsa-1"}), part({"typ": "at+jwt", "alg": "PS256", "kid": "rsa-1"})
    ),
    "ES256 with the kid of an RSA key": lambda issuer: issuer.token(
        header={"alg": "ES256", "kid": PUBLIC}, kid="p256-1"
    ),
    "HMAC with the public key as PEM": lambda issuer: hmac_token(issuer, key_of(PUBLIC).as_pem(private=False)),  # type: ignore[union-attr]
    "HMAC with the public key as DER": lambda issuer: hmac_token(issuer, key_of(PUBLIC).as_der(private=False)),  # type: ignore[union-attr]
    "HMAC with the public key as JWK": lambda issuer: hmac_token(issuer, json.dumps(issuer.keys[0]).encode()),
    "HMAC with the modulus": lambda issuer: hmac_token(issuer, issuer.keys[0]["n"].encode()),
    "HMAC with nothing": lambda issuer: hmac_token(issuer, b""),
    "HMAC's digest as RS256": lambda issuer: hmac_token(issuer, b"secret", "RS256"),
    # Keys.
    "kid that is unknown": lambda issuer: issuer.token(header={"kid": "evil"}),
    "kid as a path": lambda issuer: issuer.token(header={"kid": "../../../../dev/null"}),
    "kid as a URL": lambda issuer: issuer.token(header={"kid": issuer.url}),
    "kid with a null byte": lambda issuer: issuer.token(header={"kid": "rsa-1\0"}),
    "kid that is huge": lambda issuer: issuer.token(header={"kid": "k" * 4_000}),
    "kid that is empty": lambda issuer: issuer.token(header={"kid": ""}),
    "kid no string": lambda issuer: issuer.token(header={"kid": 1}),
    "kid of a key that did not sign": lambda issuer: issuer.token(header={"kid": PUBLIC}, kid="rsa-evil"),
    "no kid, signed by a stranger": lambda issuer: issuer.token(header={"kid": None}, kid="rsa-evil"),
    "jku": lambda issuer: issuer.token(header={"jku": f"{EVIL}/jwks.json"}, kid="rsa-evil"),
    "jku with the issuer's own signature": lambda issuer: issuer.token(header={"jku": issuer.url}),
    "x5u": lambda issuer: issuer.token(header={"x5u": f"{EVIL}/chain.pem"}, kid="rsa-evil"),
    "jwk": lambda issuer: issuer.token(header={"jwk": public_jwk("rsa-evil")}, kid="rsa-evil"),
    "jwk under the kid of the issuer": lambda issuer: issuer.token(
        header={"jwk": public_jwk("rsa-evil"), "kid": PUBLIC}, kid="rsa-evil"
    ),
    "x5c": lambda issuer: issuer.token(header={"x5c": ["evil"]}, kid="rsa-evil"),
    "crit": lambda issuer: issuer.token(header={"crit": ["evil"], "evil": True}),
    "crit that is empty": lambda issuer: issuer.token(header={"crit": []}),
    # Dates.
    "expired": lambda issuer: issuer.token(exp=int(time.time()) - 31),
    "expired long ago": lambda issuer: issuer.token(exp=0),
    "exp missing": lambda issuer: issuer.token(exp=None),
    "exp as a string": lambda issuer: issuer.token(exp=str(int(time.time()) + 600)),
    "exp as a list": lambda issuer: issuer.token(exp=[int(time.time()) + 600]),
    "exp as true": lambda issuer: issuer.token(exp=True),
    "exp huge": lambda issuer: issuer.token(exp=10**400),
    "exp beyond all years": lambda issuer: issuer.token(exp=253_402_300_800),
    "exp of more digits than are converted": lambda issuer: issuer.token(payload=b'{"exp":' + b"9" * 5_000 + b"}"),
    "exp negative": lambda issuer: issuer.token(exp=-1),
    "exp NaN": lambda issuer: issuer.token(exp=float("nan")),
    "exp Infinity": lambda issuer: issuer.token(exp=float("inf")),
    "exp 1e400": lambda issuer: issuer.token(
        payload=json.dumps(issuer.claims(exp="?")).replace('"?"', "1e400").encode()
    ),
    "nbf to come": lambda issuer: issuer.token(nbf=int(time.time()) + 60),
    "nbf as a string": lambda issuer: issuer.token(nbf="0"),
    "nbf as true": lambda issuer: issuer.token(nbf=True),
    "iat to come": lambda issuer: issuer.token(iat=int(time.time()) + 60),
    # Whose, for whom.
    "issuer that is another": lambda issuer: issuer.token(iss=EVIL),
    "issuer with a slash more": lambda issuer: issuer.token(iss=f"{ISSUER}/"),
    "issuer missing": lambda issuer: issuer.token(iss=None),
    "issuer as a list": lambda issuer: issuer.token(iss=[ISSUER]),
    "audience that is another": lambda issuer: issuer.token(aud=EVIL),
    "audience that ours is in": lambda issuer: issuer.token(aud=f"{AUDIENCE}.{EVIL}"),
    "audience list without ours": lambda issuer: issuer.token(aud=[EVIL, f"{AUDIENCE}/"]),
    "audience list that is empty": lambda issuer: issuer.token(aud=[]),
    "audience as an object": lambda issuer: issuer.token(aud={AUDIENCE: True}),
    "audience missing": lambda issuer: issuer.token(aud=None),
    "subject missing": lambda issuer: issuer.token(sub=None),
    "subject empty": lambda issuer: issuer.token(sub=""),
    "subject no string": lambda issuer: issuer.token(sub=1),
    "subject huge": lambda issuer: issuer.token(sub="s" * 256),
    "subject with a control character": lambda issuer: issuer.token(sub="alice\r\n"),
    "subject with a lone surrogate": lambda issuer: issuer.token(sub="\ud800"),
    "scope as a list": lambda issuer: issuer.token(scope=["playlists:read"]),
    # Forms.
    "token huge": lambda issuer: issuer.token(padding="x" * 8_192),
    "token empty": lambda issuer: "",
    "token of one character": lambda issuer: "a",
    "nested token": lambda issuer: issuer.token(header={"cty": "JWT"}, payload=issuer.token().encode()),
    "JWT as content type of claims": lambda issuer: issuer.token(header={"cty": "JWT"}),
    "JWE": lambda issuer: f"{part({'alg': 'RSA-OAEP', 'enc': 'A256GCM', 'typ': 'at+jwt'})}.AAAA.AAAA.AAAA.AAAA",
    "JWE of five empty parts": lambda issuer: "....",
    "truncated": lambda issuer: issuer.token()[:-10],
    "without its last part": lambda issuer: issuer.token().rpartition(".")[0],
    "bad base64": lambda issuer: issuer.token().replace(".", ".*", 1),
    "base64 of another alphabet": lambda issuer: issuer.token()[:-4] + "+/+/",
    "base64 of an impossible length": lambda issuer: issuer.token().rpartition(".")[0] + ".AAAAA",
    "base64 with unused bits": lambda issuer: noncanonical(issuer.token()),
    "padding": lambda issuer: issuer.token() + "==",
    "extra dot": lambda issuer: issuer.token() + ".",
    "extra part": lambda issuer: issuer.token() + ".AAAA",
    "white space within": lambda issuer: issuer.token().replace(".", ". ", 1),
    "text outside of ASCII": lambda issuer: issuer.token() + "é",
    "empty signature": lambda issuer: issuer.token().rpartition(".")[0] + ".",
    "signature of zeros": lambda issuer: issuer.token().rpartition(".")[0] + "." + "A" * 342,
    "signature of another token": lambda issuer: resigned(issuer.token(), issuer.claims(sub="evil")),
    "header a list": lambda issuer: signed(["at+jwt", "RS256"], issuer.claims()),
    "header a string": lambda issuer: signed("RS256", issuer.claims()),
    "header no JSON": lambda issuer: signed(b"{", issuer.claims()),
    "header no UTF-8": lambda issuer: signed(b"\xff", issuer.claims()),
    "header nested deeply": lambda issuer: signed(b"[" * 3_000, issuer.claims()),
    "header with alg twice": lambda issuer: signed(
        b'{"alg":"none","alg":"RS256","typ":"at+jwt","kid":"rsa-1"}', issuer.claims()
    ),
    "payload with sub twice": lambda issuer: issuer.token(payload=with_twice(issuer, "sub", "evil")),
    "payload with aud twice": lambda issuer: issuer.token(payload=with_twice(issuer, "aud", EVIL)),
    "payload a list": lambda issuer: issuer.token(payload=[issuer.claims()]),
    "payload no JSON": lambda issuer: issuer.token(payload=b"evil"),
    # Kinds.
    "typ missing": lambda issuer: issuer.token(header={"typ": None}),
    "typ of an ID token": lambda issuer: issuer.token(header={"typ": "JWT"}),
    "typ of a logout token": lambda issuer: issuer.token(header={"typ": "logout+jwt"}),
    "typ no string": lambda issuer: issuer.token(header={"typ": 1}),
    "typ that begins like ours": lambda issuer: issuer.token(header={"typ": "at+jwt2"}),
}


class TestBadTokens:
    @pytest.fixture
    def settings(self, issuer: Issuer) -> Settings:
        """On no table: none of these requests gets so far."""
        return issuer.settings()

    @pytest.mark.parametrize("name", BAD_TOKENS)
    async def test_bad_token_is_refused_before_anything_is_read(
        self, http: httpx2.AsyncClient, issuer: Issuer, name: str
    ) -> None:
        token = BAD_TOKENS[name](issuer)

        response = await http.post(
            "/playlists", json=NEW, headers=[(b"Authorization", f"Bearer {token}".encode("latin-1"))]
        )

        assert code_of(response) == (401, "unauthorized")
        detail = response.json()["detail"]
        challenge = response.headers["WWW-Authenticate"]
        assert challenge == f'Bearer error="invalid_token", error_description="{detail}"'
        assert "evil" not in response.text
        assert "alice" not in response.text
        await assert_no_call_was_made(http)

    @pytest.mark.parametrize(
        ("claims", "said"),
        [
            ({"exp": 1}, "The token has expired."),
            ({"aud": EVIL}, "The token is for another audience."),
            ({"iss": EVIL}, "The token is of another issuer."),
            ({"nbf": 253_402_300_799}, "The token is not valid yet."),
        ],
    )
    async def test_detail_says_what_is_wrong(
        self, http: httpx2.AsyncClient, issuer: Issuer, claims: dict[str, Any], said: str
    ) -> None:
        response = await http.get("/playlists", headers=bearer(issuer.token(**claims)))

        assert response.json()["detail"] == said

    async def test_issuer_is_not_asked_for_a_key_of_an_algorithm_that_is_not_accepted(
        self, http: httpx2.AsyncClient, issuer: Issuer
    ) -> None:
        await http.get("/playlists", headers=bearer(issuer.token()))

        response = await http.get("/playlists", headers=bearer(unsigned_token(issuer, "none", "AAAA")))

        assert response.json()["detail"] == "The token is not signed with an algorithm that is accepted."
        assert issuer.fetches == 1

    async def test_claims_of_a_token_with_a_wrong_signature_are_not_judged(
        self, http: httpx2.AsyncClient, issuer: Issuer
    ) -> None:
        response = await http.get("/playlists", headers=bearer(resigned(issuer.token(), issuer.claims(exp=1))))

        assert response.json()["detail"] == "The signature of the token is wrong."

    @pytest.mark.parametrize("second", ["Bearer {token}", "", "Basic YWxpY2U6c2VjcmV0"])
    async def test_two_authorization_lines_are_refused_though_one_is_good(
        self, http: httpx2.AsyncClient, issuer: Issuer, second: str
    ) -> None:
        token = issuer.token()
        lines = [("Authorization", f"Bearer {token}"), ("Authorization", second.format(token=token))]

        response = await http.get("/playlists", headers=lines)

        assert code_of(response) == (401, "unauthorized")
        assert response.json()["detail"] == "The request has more than one Authorization field."
        assert 'error="invalid_token"' in response.headers["WWW-Authenticate"]
        await assert_no_call_was_made(http)

    @pytest.mark.parametrize(
        "headers",
        [{}, {"Authorization": ""}, {"Authorization": "Basic YWxpY2U6c2VjcmV0"}, {"Authorization": "Bearertoken x"}],
        ids=["nothing", "empty", "Basic", "a scheme that begins like ours"],
    )
    async def test_request_without_a_token_is_challenged_and_told_no_error(
        self, http: httpx2.AsyncClient, headers: dict[str, str]
    ) -> None:
        response = await http.get("/playlists", headers=headers)

        assert code_of(response) == (401, "unauthorized")
        assert response.headers["WWW-Authenticate"] == "Bearer"
        await assert_no_call_was_made(http)

    async def test_token_anywhere_but_in_the_header_is_none(self, http: httpx2.AsyncClient, issuer: Issuer) -> None:
        token = issuer.token()

        in_query = await http.get("/playlists", params={"access_token": token})
        in_form = await http.post("/playlists", data={"access_token": token})
        in_cookie = await http.get("/playlists", headers={"Cookie": f"access_token={token}"})

        assert [code_of(answer) for answer in (in_query, in_form, in_cookie)] == [(401, "unauthorized")] * 3
        assert "WWW-Authenticate" in in_query.headers


class TestGoodTokens:
    async def test_good_token_is_accepted_and_its_subject_the_owner(
        self, http: httpx2.AsyncClient, issuer: Issuer
    ) -> None:
        response = await http.post("/playlists", json=NEW, headers=bearer(issuer.token(sub="Älice|1")))

        assert response.status_code == 201
        assert response.json()["playlist_owner"] == "Älice|1"
        assert 'playlists_dynamodb_calls_total{operation="PutItem"' in (await http.get("/metrics")).text

    @pytest.mark.parametrize(
        ("algorithm", "kid"),
        [
            *((f"{family}{size}", "rsa-1") for family in ("RS", "PS") for size in (256, 384, 512)),
            ("ES256", "p256-1"),
            ("ES384", "p384-1"),
            ("ES512", "p521-1"),
            ("EdDSA", "ed25519-1"),
            ("Ed25519", "ed25519-1"),
        ],
    )
    async def test_asymmetric_algorithm_is_accepted(
        self, http: httpx2.AsyncClient, issuer: Issuer, algorithm: str, kid: str
    ) -> None:
        issuer.keys = [public_jwk(name) for name in ("rsa-1", "p256-1", "p384-1", "p521-1", "ed25519-1")]

        response = await http.get("/playlists", headers=bearer(issuer.token(kid=kid, header={"alg": algorithm})))

        assert response.status_code == 200

    @pytest.mark.parametrize(
        ("header", "claims"),
        [
            ({"typ": "AT+JWT"}, {}),
            ({"typ": "application/at+jwt"}, {}),
            ({"kid": None}, {}),
            ({"x5t": "thumbprint"}, {}),
            ({}, {"aud": [EVIL, AUDIENCE]}),
            ({}, {"sub": "ü" * 255}),
            ({}, {"iat": None}),
            ({}, {"exp": 4_102_444_800.5, "nbf": 1.5}),
            ({}, {"scope": "openid playlists:read email"}),
        ],
        ids=lambda members: str(members)[:40],
    )
    async def test_form_that_issuers_use_is_accepted(
        self, http: httpx2.AsyncClient, issuer: Issuer, header: dict[str, Any], claims: dict[str, Any]
    ) -> None:
        response = await http.get("/playlists", headers=bearer(issuer.token(header=header, **claims)))

        assert response.status_code == 200

    async def test_leeway_covers_clocks_that_differ(self, http: httpx2.AsyncClient, issuer: Issuer) -> None:
        now = int(time.time())
        tokens = [issuer.token(exp=now - 10), issuer.token(nbf=now + 10), issuer.token(iat=now + 10)]

        answers = [await http.get("/playlists", headers=bearer(token)) for token in tokens]

        assert [answer.status_code for answer in answers] == [200] * 3

    @pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer "])
    async def test_scheme_is_read_in_any_case(self, http: httpx2.AsyncClient, issuer: Issuer, scheme: str) -> None:
        response = await http.get("/playlists", headers={"Authorization": f"{scheme} {issuer.token()}"})

        assert response.status_code == 200

    async def test_no_kid_is_refused_where_several_keys_may_have_signed(
        self, http: httpx2.AsyncClient, issuer: Issuer
    ) -> None:
        issuer.keys = [public_jwk("rsa-1"), public_jwk("rsa-2")]

        response = await http.get("/playlists", headers=bearer(issuer.token(header={"kid": None})))

        assert response.json()["detail"] == "The token does not name a key of the issuer."

    async def test_key_that_the_issuer_has_moved_to_is_accepted_at_once(
        self, http: httpx2.AsyncClient, issuer: Issuer
    ) -> None:
        before = await http.get("/playlists", headers=bearer(issuer.token()))
        issuer.keys = [public_jwk("p256-1")]

        after = await http.get("/playlists", headers=bearer(issuer.token(kid="p256-1", header={"alg": "ES256"})))
        old = await http.get("/playlists", headers=bearer(issuer.token()))

        assert [answer.status_code for answer in (before, after, old)] == [200, 200, 401]


class TestOtherSettings:
    @pytest.fixture
    def settings(self, table_name: str, issuer: Issuer) -> Settings:
        return issuer.settings(table_name=table_name, jwt_types="JWT, at+jwt", jwt_leeway_seconds=0)

    async def test_types_of_the_settings_are_accepted(self, http: httpx2.AsyncClient, issuer: Issuer) -> None:
        answers = [
            await http.get("/playlists", headers=bearer(issuer.token(header={"typ": kind})))
            for kind in ("JWT", "jwt", "at+jwt", "id+jwt", None)
        ]

        assert [answer.status_code for answer in answers] == [200, 200, 200, 401, 401]

    async def test_leeway_may_be_none(self, http: httpx2.AsyncClient, issuer: Issuer) -> None:
        response = await http.get("/playlists", headers=bearer(issuer.token(exp=int(time.time()) - 1)))

        assert response.status_code == 401


class TestKeysInAFile:
    @pytest.fixture
    def key_file(self, tmp_path: Path) -> Path:
        file = tmp_path / "jwks.json"
        file.write_text(json.dumps({"keys": [public_jwk("rsa-1")]}))
        return file

    @pytest.fixture
    def settings(self, table_name: str, issuer: Issuer, key_file: Path) -> Settings:
        return issuer.settings(table_name=table_name, jwt_jwks=str(key_file))

    async def test_file_is_read_again_for_a_key_that_is_not_in_it(
        self, http: httpx2.AsyncClient, issuer: Issuer, key_file: Path
    ) -> None:
        before = await http.get("/playlists", headers=bearer(issuer.token()))
        key_file.write_text(json.dumps({"keys": [public_jwk("ed25519-1")]}))

        after = await http.get("/playlists", headers=bearer(issuer.token(kid="ed25519-1", header={"alg": "EdDSA"})))

        assert [answer.status_code for answer in (before, after)] == [200, 200]


class TestIssuerOutOfReach:
    @pytest.fixture
    def issuer(self) -> Iterator[Issuer]:
        with Issuer().published() as issuer:
            issuer.status = 500
            yield issuer

    async def test_token_cannot_be_judged_before_there_is_a_set(self, http: httpx2.AsyncClient, issuer: Issuer) -> None:
        response = await http.get("/playlists", headers=bearer(issuer.token()))

        assert code_of(response) == (503, "authentication-unavailable")
        assert response.headers["Retry-After"] == "5"
        await assert_no_call_was_made(http)

    async def test_request_without_a_token_is_refused_all_the_same(self, http: httpx2.AsyncClient) -> None:
        assert code_of(await http.get("/playlists")) == (401, "unauthorized")


class TestOrder:
    @pytest.mark.parametrize(
        ("method", "url", "options"),
        [
            ("PATCH", "/playlists/p1", {"content": b"{}", "headers": {"Content-Type": "text/plain"}}),
            ("PATCH", "/playlists/p1", {"json": NEW}),
            ("POST", "/playlists", {"content": b"x" * 1_048_577}),
            ("POST", "/playlists", {"content": b"{", "headers": {"Content-Type": "application/json"}}),
            ("GET", "/playlists?limit=0", {}),
            ("GET", "/playlists/nothing", {"headers": {"If-None-Match": "no tag"}}),
            ("POST", "/playlists/p1/plays", {"headers": {"Idempotency-Key": "a,b"}}),
        ],
    )
    async def test_missing_token_comes_before_any_other_fault(
        self, http: httpx2.AsyncClient, method: str, url: str, options: dict[str, Any]
    ) -> None:
        assert code_of(await http.request(method, url, **options)) == (401, "unauthorized")

    async def test_body_of_a_refused_request_is_not_read(self, http: httpx2.AsyncClient) -> None:
        read = []

        async def body() -> AsyncIterator[bytes]:
            read.append(True)
            yield b"{}"

        response = await http.post("/playlists", content=body(), headers={"Content-Type": "application/json"})

        assert response.status_code == 401
        assert not read

    async def test_missing_scope_comes_before_validation(self, http: httpx2.AsyncClient, issuer: Issuer) -> None:
        token = issuer.token(scope="playlists:read")

        response = await http.patch("/playlists/p1", json={"unknown": 1}, headers=bearer(token))

        assert code_of(response) == (403, "forbidden")
        await assert_no_call_was_made(http)

    async def test_unknown_paths_and_methods_ask_for_no_token(self, http: httpx2.AsyncClient) -> None:
        assert code_of(await http.get("/nothing")) == (404, "not-found")
        assert code_of(await http.put("/playlists")) == (405, "method-not-allowed")


class TestScopes:
    async def request(self, http: httpx2.AsyncClient, method: str, path: str, token: str) -> httpx2.Response:
        return await http.request(method, path.format(playlist_token="p1"), headers=bearer(token))

    def test_every_operation_on_playlists_is_guarded_and_says_so(self) -> None:
        assert {path.values[1] for path in OPEN} == {"/livez", "/readyz", "/metrics"}
        for _, _, operation in (parameters.values for parameters in GUARDED):
            assert {"401", "403"} <= set(operation["responses"])  # type: ignore[index]

    @pytest.mark.parametrize(("method", "path", "operation"), GUARDED)
    async def test_operation_takes_its_scope_or_admin_and_no_other(
        self, http: httpx2.AsyncClient, issuer: Issuer, method: str, path: str, operation: dict[str, Any]
    ) -> None:
        [[scope]] = [list(requirement["access_token"]) for requirement in operation["security"]]
        assert scope == ("playlists:read" if method in ("GET", "HEAD") else "playlists:write")
        others = {"playlists:read", "playlists:write"} - {scope}
        refused = [None, "", " ".join(others), f"{scope}x", scope.upper(), "playlists", "admin"]

        for scopes in refused:
            response = await self.request(http, method, path, issuer.token(scope=scopes))
            assert response.status_code == 403
            challenge = response.headers["WWW-Authenticate"]
            assert challenge == f'Bearer error="insufficient_scope", scope="{scope}"'
        for scopes in (scope, "playlists:admin"):
            response = await self.request(http, method, path, issuer.token(scope=scopes))
            assert response.status_code not in (401, 403)

    @pytest.mark.parametrize(
        "path", ["/livez", "/readyz", "/metrics", "/docs", "/openapi.json", "/problems/forbidden", "/"]
    )
    async def test_what_is_no_playlist_is_open(self, http: httpx2.AsyncClient, path: str) -> None:
        assert (await http.get(path)).status_code < 400


class TestTwoCallers:
    async def test_idempotency_key_of_another_caller_is_another_key(
        self, http: httpx2.AsyncClient, issuer: Issuer
    ) -> None:
        key = {"Idempotency-Key": "k1"}

        created = [
            await http.post("/playlists", json=NEW, headers={**key, **bearer(issuer.token(sub=subject))})
            for subject in ("alice", "bob", "alice")
        ]

        tokens = [answer.json()["playlist_token"] for answer in created]
        assert tokens[0] == tokens[2] != tokens[1]
        assert [answer.headers.get("Idempotency-Replayed") for answer in created] == [None, None, "true"]

    async def test_playlists_of_two_callers_are_listed_apart(self, http: httpx2.AsyncClient, issuer: Issuer) -> None:
        tokens = {subject: issuer.token(sub=subject) for subject in ("alice", "bob")}
        for subject, token in tokens.items():
            for number in range(2):
                await http.put(f"/playlists/{subject}-{number}", json=NEW, headers=bearer(token))

        listed = {
            subject: [
                item["playlist_token"] for item in (await http.get("/playlists", headers=bearer(token))).json()["items"]
            ]
            for subject, token in tokens.items()
        }

        assert listed == {"alice": ["alice-0", "alice-1"], "bob": ["bob-0", "bob-1"]}

    async def test_cursor_of_another_caller_is_refused(self, http: httpx2.AsyncClient, issuer: Issuer) -> None:
        alice, bob = (bearer(issuer.token(sub=subject)) for subject in ("alice", "bob"))
        for number in range(2):
            await http.put(f"/playlists/a{number}", json=NEW, headers=alice)
        cursor = (await http.get("/playlists?limit=1", headers=alice)).json()["next_cursor"]

        response = await http.get("/playlists", params={"cursor": cursor}, headers=bob)

        assert code_of(response) == (422, "invalid-request")


async def test_admin_lists_their_own(http: httpx2.AsyncClient, issuer: Issuer) -> None:
    await http.put("/playlists/p1", json=NEW, headers=bearer(issuer.token(sub="alice")))

    listed = await http.get("/playlists", headers=bearer(issuer.token(sub="root", scope="playlists:admin")))

    assert listed.json()["items"] == []
