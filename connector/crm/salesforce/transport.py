"""Logins and the requests session: time limits, connection retries, constant headers, loopback addresses.

Worked around here (simple-salesforce 1.12.10): no default timeout anywhere, the token request included (issue 148);
no connection retry (issue 402); extra headers lost when it refreshes a token by itself (so it never does: it is given
a plain token, and a refused one is replaced above it); https forced on loopback addresses.
"""

import threading
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from simple_salesforce.exceptions import SalesforceAuthenticationFailed
from simple_salesforce.login import SalesforceLogin
from urllib3.util.retry import Retry

from connector.core.errors import ConfigurationError, DownError

CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 150.0  # above the 120 s after which Salesforce itself ends a request
CONNECT_RETRIES = 3
_PASSING_WORDS = ("temporarily_unavailable", "server_error", "unknown_error")
_MY_DOMAIN = ".salesforce.com"
_LOOPBACK_DOMAIN = "loopback.my"
# Set on the session, so that they survive whatever a client library does with per-call headers.
CONSTANT_HEADERS = {"Sforce-Auto-Assign": "FALSE", "Sforce-Call-Options": "client=crm-enrichment-connector"}


@dataclass(frozen=True, slots=True)
class Login:
    """How to log in to one org; exactly one of the three ways is filled.

    Attributes:
        instance_url: the org's My Domain address.
        client_id, client_secret: client credentials.
        username, private_key_file: JWT bearer, with client_id.
        access_token: an existing token, which cannot be refreshed.
    """

    instance_url: str
    client_id: str | None = None
    client_secret: str | None = None
    username: str | None = None
    private_key_file: Path | None = None
    access_token: str | None = None

    def missing(self) -> str | None:
        """Which settings are missing, in words; None when a login is possible."""
        if not self.instance_url:
            return "SALESFORCE_INSTANCE_URL"
        if self.access_token or (self.client_id and (self.client_secret or (self.username and self.private_key_file))):
            return None
        if self.username or self.private_key_file:
            return "SALESFORCE_CLIENT_ID, SALESFORCE_USERNAME and SALESFORCE_PRIVATE_KEY_FILE together"
        return "SALESFORCE_CLIENT_ID and SALESFORCE_CLIENT_SECRET (or SALESFORCE_ACCESS_TOKEN)"


class Adapter(HTTPAdapter):
    """Sets time limits, retries connections that never opened, and speaks http to a loopback org.

    Args:
        plain: (https prefix, http prefix) to rewrite; empty except for rehearsals.
    """

    def __init__(self, plain: Mapping[str, str]) -> None:
        self._plain = dict(plain)
        super().__init__(max_retries=Retry(CONNECT_RETRIES, connect=CONNECT_RETRIES, read=0, status=0, other=0))

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:  # noqa: ANN401 as the base
        """Send with a time limit, whatever the caller forgot."""
        for prefix, replacement in self._plain.items():
            if request.url and request.url.startswith(prefix):
                request.url = replacement + request.url[len(prefix) :]
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = (CONNECT_TIMEOUT_S, READ_TIMEOUT_S)
        return super().send(request, *args, **kwargs)


def new_session(instance_url: str) -> requests.Session:
    """A session for one org and one thread."""
    parts = urlsplit(instance_url)
    plain: dict[str, str] = {}
    if parts.scheme == "http":
        for host in (parts.netloc, _LOOPBACK_DOMAIN + _MY_DOMAIN):
            plain[f"https://{host}/"] = f"http://{parts.netloc}/"
    session = requests.Session()
    session.trust_env = False
    session.headers.update(CONSTANT_HEADERS)
    session.mount("https://", Adapter(plain))
    return session


def domain_of(instance_url: str) -> str:
    """What simple-salesforce calls the domain: the My Domain host without `.salesforce.com`.

    Raises:
        ConfigurationError: the address is not a My Domain.
    """
    parts = urlsplit(instance_url)
    if parts.scheme == "http":
        return _LOOPBACK_DOMAIN
    host = (parts.hostname or "").lower()
    domain = host.removesuffix(_MY_DOMAIN)
    if domain == host or domain in {"login", "test"}:
        raise ConfigurationError(
            "SALESFORCE_INSTANCE_URL must be the org's My Domain, such as https://acme.my.salesforce.com "
            "(Setup, My Domain)"
        )
    return domain


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

    def get(self, stale: str | None = None) -> str:
        """A token that is not `stale`; asks for a new one only when nobody else has meanwhile.

        Raises:
            ConfigurationError: the first login is refused.
            DownError: a later one is, or the token given cannot be renewed.
            requests.RequestException: no answer that decides anything; worth another try.
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
        arguments = self._arguments()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the library's advice on stderr; ours stands in the error
                token, _ = SalesforceLogin(session=self._session, **arguments)
        except SalesforceAuthenticationFailed as error:
            # A number in the place of the word is the status of an answer that was no JSON.
            if isinstance(error.code, int) or error.code in _PASSING_WORDS:
                raise requests.HTTPError(f"no usable answer to the login ({error.code})") from error
            raise self._refused(_advice(str(error.code))) from error
        except AttributeError as error:  # what the library makes of JSON that is no token answer
            raise requests.HTTPError("no usable answer to the login") from error
        if not token:
            raise self._refused("Salesforce's login answer holds no token")
        return token

    def _arguments(self) -> dict[str, Any]:
        login, domain = self._login, domain_of(self._login.instance_url)
        if login.username and login.private_key_file:
            sandbox = ".sandbox" in domain or "--" in domain
            return {
                "username": login.username,
                "consumer_key": login.client_id,
                "privatekey": _private_key(login.private_key_file),
                "domain": "test" if sandbox else "login",
                "instance_url": domain,
            }
        return {"consumer_key": login.client_id, "consumer_secret": login.client_secret, "domain": domain}

    def _refused(self, message: str) -> ConfigurationError | DownError:
        return DownError(message) if self._worked else ConfigurationError(message)


def _private_key(path: Path) -> bytes:
    """The key's PEM text, proved to be one before the library signs with it.

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


def _advice(code: str) -> str:
    word = code if code.replace("_", "").isalnum() else "refused"
    remedy = {
        "invalid_client": "check SALESFORCE_CLIENT_ID and SALESFORCE_CLIENT_SECRET",
        "invalid_client_id": "check SALESFORCE_CLIENT_ID",
        "invalid_grant": "enable the client credentials flow in the External Client App and give it a run-as user; for "
        "JWT, pre-authorise the user and check SALESFORCE_USERNAME",
        "invalid_request": "enable the OAuth flow in the External Client App",
    }.get(word, "check the SALESFORCE_* settings and the External Client App")
    return f"Salesforce refuses the login ({word}): {remedy}"
