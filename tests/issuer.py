"""An issuer of access tokens: it has keys, signs with them, and publishes the public ones over HTTP."""

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from app.settings import Settings, load_settings

ISSUER = "https://issuer.example"
ALGORITHMS = (
    *(f"{family}{size}" for family in ("RS", "PS", "ES") for size in (256, 384, 512)),
    "EdDSA",
    "Ed25519",
)
AUDIENCE = "https://playlists.example"
SCOPES = "playlists:read playlists:write"


@cache
def key_of(kid: str) -> Key:
    """The private key of this name, the same in all tests; the name begins with what kind it is."""
    kind, _, _ = kid.partition("-")
    if kind == "rsa":
        return RSAKey.generate_key(2048)
    if kind == "ed25519":
        return OKPKey.generate_key("Ed25519")
    return ECKey.generate_key({"p256": "P-256", "p384": "P-384", "p521": "P-521"}[kind])


def public_jwk(kid: str, **members: Any) -> dict[str, Any]:
    return {**key_of(kid).as_dict(private=False), "kid": kid, **members}


def base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def part(members: object) -> str:
    return base64url(members if isinstance(members, bytes) else json.dumps(members).encode())


def without_none(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def signed(header: object, payload: object, *, kid: str = "rsa-1", algorithm: str = "RS256") -> str:
    """A token of these parts, whatever they are, with a signature that is right."""
    content = f"{part(header)}.{part(payload)}"
    signature = JWSRegistry.algorithms[algorithm].sign(content.encode(), key_of(kid))
    return f"{content}.{base64url(signature)}"


class Issuer:
    """`keys` is the set that it publishes; `fetches` counts how often that was asked for."""

    def __init__(self) -> None:
        self.keys: list[Any] = [public_jwk("rsa-1")]
        self.fetches = 0
        self.status = 200
        self.headers: dict[str, str] = {}
        self.content: bytes | None = None
        self.open = Event()
        self.open.set()
        self.url = ""

    def settings(self, **overrides: Any) -> Settings:
        """Settings of a service that trusts this issuer."""
        trust = {"auth": "jwt", "jwt_issuer": ISSUER, "jwt_audience": AUDIENCE, "jwt_jwks": self.url}
        return load_settings(**{**trust, **overrides})

    def claims(self, **claims: Any) -> dict[str, Any]:
        """The claims of a good token; `claims` replace them, None takes one out."""
        now = int(time.time())
        good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "scope": SCOPES, "exp": now + 600, "iat": now}
        return without_none({**good, "client_id": "tests", "jti": "1", **claims})

    def token(
        self,
        *,
        header: Mapping[str, Any] | None = None,
        kid: str = "rsa-1",
        payload: object = None,
        **claims: Any,
    ) -> str:
        """A token signed with the key of this name; a good one unless told otherwise. None takes a member out."""
        head = without_none({"typ": "at+jwt", "alg": "RS256", "kid": kid, **(header or {})})
        content = self.claims(**claims) if payload is None else payload
        algorithm = head.get("alg")
        return signed(head, content, kid=kid, algorithm=algorithm if algorithm in ALGORITHMS else "RS256")

    @contextmanager
    def published(self) -> Iterator["Issuer"]:
        """Serve the key set at `url`."""
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.fetches += 1
                issuer.open.wait(10)
                content = json.dumps({"keys": issuer.keys}).encode() if issuer.content is None else issuer.content
                self.send_response(issuer.status)
                for name, value in issuer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            Thread(target=server.serve_forever, args=(0.02,)).start()
            self.url = f"http://127.0.0.1:{server.server_port}/jwks.json"
            try:
                yield self
            finally:
                self.open.set()
                server.shutdown()
