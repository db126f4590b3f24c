"""Access tokens, and the token endpoint with its two flows: client credentials and JWT bearer.

Sources: Salesforce Help, "OAuth 2.0 Client Credentials Flow", "OAuth 2.0 JWT Bearer Flow" and "OAuth 2.0 Authorization
Errors" (seen November 2026). Neither flow gives a refresh token. A token is valid for `token_seconds` from its issue.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable
from urllib.parse import parse_qs

from connector.simulator.salesforce.exchange import Answer, Call, Operation

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_AUDIENCES = frozenset({"https://login.salesforce.com", "https://test.salesforce.com"})


class OAuthError(Exception):
    """The token endpoint refuses; its error body differs from that of the data API."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(f"{error}: {description}")
        self.error = error
        self.description = description


class Tokens:
    """The valid access tokens.

    Args:
        now: gives Unix seconds.
        organization_id: the org's id; its first 15 characters begin every token.

    Attributes:
        token_seconds: the lifetime of a token.
    """

    def __init__(self, now: Callable[[], float], organization_id: str) -> None:
        self._begins = f"{organization_id[:15]}!"
        self.token_seconds: float = 7_200
        self._now = now
        self._issued: dict[str, float] = {}
        self._count = 0

    def issue(self) -> str:
        """Issue a new token; earlier ones stay valid."""
        self._count += 1
        digest = hashlib.sha256(f"simulated token {self._count}".encode()).hexdigest()
        token = f"{self._begins}{digest[:40]}"
        self.accept(token)
        return token

    def accept(self, token: str) -> None:
        """Make a given token valid from now on."""
        self._issued[token] = self._now()

    def good(self, token: str) -> bool:
        """Whether the API accepts this token."""
        issued = self._issued.get(token)
        return issued is not None and self._now() < issued + self.token_seconds

    def drop(self, token: str) -> None:
        """Invalidate one token."""
        self._issued.pop(token, None)

    def drop_all(self) -> None:
        """Invalidate all tokens."""
        self._issued.clear()


class TokenEndpoint:
    """`POST /services/oauth2/token`.

    Args:
        tokens: receives issued tokens.
        now: gives Unix seconds; the `exp` of an assertion is compared with it.
        identity: ids of the organization and of the API user, as in the identity URL.

    Attributes:
        clients: consumer key -> consumer secret of the External Client Apps that may use client credentials.
        jwt_users: usernames that pre-approved each app for the JWT flow.
        jwt_public_key: PEM of the certificate's key that the admin uploaded; without one, signatures are not checked.
        jwt_clients: consumer keys allowed in the JWT flow.
        instance_url: the `instance_url` of the answer; None for the address that the request was sent to.
    """

    def __init__(self, tokens: Tokens, now: Callable[[], float], identity: tuple[str, str]) -> None:
        self._tokens = tokens
        self._now = now
        self._identity = identity
        self.clients = {"sim-client-id": "sim-client-secret"}
        self.jwt_clients = {"sim-client-id"}
        self.jwt_users = {"integration@example.com"}
        self.jwt_public_key: str | None = None
        self.instance_url: str | None = None

    def operations(self) -> list[Operation]:
        """The only route."""
        path = "/services/oauth2/token"
        return [Operation("token", "POST", path, self.answer, self._client_named, versioned=False, guarded=False)]

    def answer(self, call: Call) -> Answer:
        """Issue a token, or answer with an error."""
        headers = {"Cache-Control": "no-store"}
        try:
            return Answer(self._issue(call), headers=headers)
        except OAuthError as error:
            body = {"error": error.error, "error_description": error.description}
            return Answer(body, 400, headers)

    def _issue(self, call: Call) -> dict[str, str]:
        form = _form(call)
        grant = form.get("grant_type", "")
        if grant == "client_credentials":
            self._check_client(*_credentials(call, form))
            return self._token(call) | self._signed()
        if grant == JWT_BEARER:
            self._check_assertion(form.get("assertion", ""))
            return self._token(call)
        raise OAuthError("unsupported_grant_type", "grant type not supported")

    def _token(self, call: Call) -> dict[str, str]:
        host = call.headers.get("host", "127.0.0.1")
        return {
            "access_token": self._tokens.issue(),
            "scope": "api",
            "instance_url": self.instance_url or f"http://{host}",
            "id": "https://login.salesforce.com/id/" + "/".join(self._identity),
            "token_type": "Bearer",
        }

    def _signed(self) -> dict[str, str]:
        """The two members that the JWT flow's answer lacks."""
        signature = base64.b64encode(hashlib.sha256(b"simulated signature").digest()).decode()
        return {"issued_at": str(int(self._now() * 1000)), "signature": signature}

    def _check_client(self, client_id: str, secret: str) -> None:
        if client_id not in self.clients:
            raise OAuthError("invalid_client_id", "client identifier invalid")
        if self.clients[client_id] != secret:
            raise OAuthError("invalid_client", "invalid client credentials")

    def _check_assertion(self, assertion: str) -> None:
        claims = self._verified_claims(assertion)
        if claims.get("iss") not in self.jwt_clients:
            raise OAuthError("invalid_client_id", "client identifier invalid")
        if claims.get("aud") not in _AUDIENCES:
            raise OAuthError("invalid_grant", "Audience validation failed")
        if not _after(claims.get("exp"), self._now()):
            raise OAuthError("invalid_grant", "expired assertion")
        if claims.get("sub") not in self.jwt_users:
            raise OAuthError("invalid_grant", "user hasn't approved this consumer")

    def _verified_claims(self, assertion: str) -> dict[str, object]:
        try:
            head, payload, signature = assertion.split(".")
            claims = json.loads(_decode(payload))
        except ValueError as error:
            raise OAuthError("invalid_grant", "invalid assertion") from error
        if not isinstance(claims, dict):
            raise OAuthError("invalid_grant", "invalid assertion")
        if self.jwt_public_key is not None:
            _verify(self.jwt_public_key, f"{head}.{payload}".encode(), signature)
        return claims

    @staticmethod
    def _client_named(call: Call) -> frozenset[str]:
        return frozenset({_credentials(call, _form(call))[0]})


def _form(call: Call) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(call.body.decode("utf-8", "replace")).items()}


def _credentials(call: Call, form: dict[str, str]) -> tuple[str, str]:
    """Consumer key and secret, from HTTP Basic or from the form."""
    scheme, _, encoded = call.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return form.get("client_id", ""), form.get("client_secret", "")
    try:
        client_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        return "", ""
    return client_id, secret


def _decode(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _after(seconds: object, now: float) -> bool:
    """Whether `exp`, a number or its text, is in the future."""
    try:
        return isinstance(seconds, str | int | float) and float(seconds) > now
    except ValueError:
        return False


def _verify(public_key: str, signed: bytes, signature: str) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    key = load_pem_public_key(public_key.encode())
    if not isinstance(key, RSAPublicKey):
        raise TypeError("jwt_public_key must be an RSA key: Salesforce takes RS256 only")
    try:
        key.verify(_decode(signature), signed, PKCS1v15(), SHA256())
    except (InvalidSignature, binascii.Error) as error:
        raise OAuthError("invalid_grant", "invalid assertion") from error
