"""The one place that asks for tokens.

The token requests are those of Salesforce Help, "OAuth 2.0 Client Credentials Flow" and "OAuth 2.0 JWT Bearer Flow"
(November 2026). They are made here and not by simple-salesforce, which knows no audience but `login` and `test`, fails
on JSON that is no token answer, and writes advice to stderr.
"""

import base64
import threading
import time
from pathlib import Path

import requests

from connector.core.errors import ConfigurationError, ConnectorError, DownError
from connector.crm.salesforce.bodies import TokenAnswer, TokenRefusal, TokenRequest
from connector.crm.salesforce.domain import domain_of
from connector.crm.salesforce.login import Login
from connector.crm.salesforce.refusals import PASSING, refused_login
from connector.net import UnreadableError
from connector.net.observed import observed

TOKEN_PATH = "/services/oauth2/token"  # noqa: S105 a path
ASSERTION_S = 180  # how long a signed assertion is valid; Salesforce takes no more than five minutes
_PASSING_STATUSES = frozenset({408, 425, 429})
JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class TokenSource:
    """The one place that asks for tokens; safe to share between threads.

    Args:
        login: how to log in.
        session: for token requests.
    """

    def __init__(self, login: Login, session: requests.Session) -> None:
        self._login = login
        self._session = session
        self._token: str | None = login.access_token
        self._lock = threading.Lock()
        self._worked = False

    @property
    def has_worked(self) -> bool:
        """Whether a request with a token was ever answered."""
        return self._worked

    def get(self, stale: str | None = None) -> str:
        """A token that is not `stale`; asks for a new one only when no other thread has meanwhile.

        Raises:
            ConfigurationError: the first login is refused.
            DownError: a later one is, or the token given cannot be renewed.
            StopError: the org takes no more logins for now.
            ExchangeError: no answer that decides anything; worth another try.
        """
        with self._lock:
            if self._token is None or self._token == stale:
                if self._login.access_token:
                    raise self._refused("SALESFORCE_ACCESS_TOKEN has expired or is not valid here; get a new one")
                self._token = self._ask()
            return self._token

    def worked(self) -> None:
        """A request with the token was answered: a later refusal is no configuration error."""
        self._worked = True

    def _ask(self) -> str:
        url = f"https://{domain_of(self._login.instance_url)}.salesforce.com{TOKEN_PATH}"
        request, headers = self._request()
        with observed("salesforce", "logging in"):
            answer = self._session.post(url, request.form(), headers=headers)
        try:
            found = answer.json()
        except UnreadableError as error:
            if 400 <= answer.status_code < 500 and answer.status_code not in _PASSING_STATUSES:
                raise self._refused(
                    f"Salesforce's login address {error.why} (HTTP {answer.status_code}); check SALESFORCE_INSTANCE_URL"
                ) from error
            raise
        if not isinstance(found, dict):
            raise UnreadableError(f"answered the login with JSON that is no token answer (HTTP {answer.status_code})")
        if answer.status_code != 200:
            raise self._why(answer.status_code, TokenRefusal.read(found))
        token = TokenAnswer.read(found).access_token
        if not _is_header_text(token):
            raise self._refused("Salesforce's login answer holds no token")
        return token

    def _why(self, status: int, answer: TokenRefusal) -> Exception:
        if answer.error in PASSING or status >= 500 or status in _PASSING_STATUSES:
            return UnreadableError(f"did not decide on the login (HTTP {status})")
        login = self._login
        private = (login.client_id, login.client_secret, login.username)
        refusal = refused_login(answer.error or f"HTTP {status}", answer.error_description, private)
        return self._refused(str(refusal)) if isinstance(refusal, ConfigurationError) else refusal

    def _request(self) -> tuple[TokenRequest, dict[str, str]]:
        """The form, and the headers that go with it."""
        login = self._login
        if login.username and login.private_key_file:
            import jwt

            claims = {
                "iss": login.client_id,
                "sub": login.username,
                "aud": login.audience(),
                "exp": int(time.time()) + ASSERTION_S,
            }
            assertion = jwt.encode(claims, _private_key(login.private_key_file), algorithm="RS256")
            return TokenRequest(grant_type=JWT_GRANT, assertion=assertion), {}
        pair = base64.b64encode(f"{login.client_id}:{login.client_secret}".encode()).decode()
        return TokenRequest(grant_type="client_credentials"), {"Authorization": f"Basic {pair}"}

    def _refused(self, message: str) -> ConnectorError:
        return DownError(message) if self._worked else ConfigurationError(message)


def _is_header_text(token: str) -> bool:
    return bool(token) and token.isascii() and token.isprintable() and " " not in token


def _private_key(path: Path) -> bytes:
    """The key's PEM text, proved to be one before it signs.

    Raises:
        ConfigurationError: it cannot be read, or is another kind of key.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        pem = path.read_bytes()
        key, why = load_pem_private_key(pem, password=None), ""
    except (ValueError, TypeError, OSError, UnsupportedAlgorithm) as error:
        key, why = None, f" ({type(error).__name__})"
    if not isinstance(key, RSAPrivateKey):
        raise ConfigurationError(
            f"SALESFORCE_PRIVATE_KEY_FILE cannot be used{why}: it must be a readable PEM file with an RSA private key "
            "that has no passphrase"
        )
    return pem
