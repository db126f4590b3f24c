"""The requests session of one org: bounded exchanges, constant headers, plain http for loopback, redirects refused.

Worked around here (simple-salesforce 1.12.10): no default timeout anywhere, the token request included (issue 148);
no connection retry (issue 402); extra headers lost when it refreshes a token by itself (so it never does: it is given
a plain token, and a refused one is replaced above it); https forced on loopback addresses; answers that are no object
and no list crash it; a nonsensical `Sforce-Limit-Info` crashes it. Whatever the library sends passes `Adapter`.
"""

import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from connector.core.errors import ConfigurationError
from connector.crm.salesforce.domain import LOOPBACK_DOMAIN, MY_DOMAIN
from connector.net import Budget, NetworkSettings, RedirectError, UnreadableError
from connector.net.deadline import Monotonic
from connector.net.exchange import Reply, exchange
from connector.net.library import httpx

MAX_BYTES = 32 * 2**20  # of an answer, unpacked
TOTAL_S = 30.0  # for a login, a describe, and whatever else Salesforce answers from memory
# Salesforce works on a query, a read or a write for up to 120 s, and its own words about it are worth waiting for. Once
# the answer has begun, it must end within the usual time.
WORK_S, ANSWER_S = 130.0, TOTAL_S
CONNECT_RETRIES = 3
_WORKING = re.compile(r"/services/(data/v[0-9.]+/(query|queryAll|composite|jobs)|Soap/m)\b")
_USAGE = re.compile(r"(?:^|[\s,;])api-usage=([0-9]{1,12})/([0-9]{1,12})(?![0-9])")
# Set on the session, so that they survive whatever a client library does with per-call headers.
CONSTANT_HEADERS = {"Sforce-Auto-Assign": "FALSE", "Sforce-Call-Options": "client=crm-enrichment-connector"}
# What each answer tells beside its content: the day's requests (used, allowed), and how far this clock is ahead.
NoteAnswer = Callable[[tuple[int, int] | None, timedelta | None], None]


class _Answer(requests.Response):
    """A whole answer, whose JSON is read without trust in it."""

    def __init__(self, request: requests.PreparedRequest, reply: Reply) -> None:
        super().__init__()
        self._reply = reply
        self._content, self._content_consumed = reply.body, True
        self.status_code = reply.status
        self.headers = CaseInsensitiveDict({name: reply.headers[name] for name in reply.headers})
        self.headers.pop("Sforce-Limit-Info", None)  # the library fails on nonsense in it: it is read here alone
        self.encoding = "utf-8"
        self.url, self.request = request.url or "", request

    def json(self, **_: Any) -> Any:  # noqa: ANN401 as the base
        """The body's value.

        Raises:
            UnreadableError: it is no JSON, or JSON that no answer of Salesforce is.
        """
        found = self._reply.json()
        if self.status_code < 300 and not isinstance(found, dict | list):
            raise UnreadableError("answered with JSON that is neither an object nor a list")
        return found


class Adapter(BaseAdapter):
    """Sends each request of a session as one bounded exchange.

    Args:
        plain: (https prefix, http prefix) to rewrite; empty except for rehearsals.
        network: proxies and trusted certificates.
        note: gets what the headers of each answer tell.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        plain: Mapping[str, str],
        network: NetworkSettings,
        note: NoteAnswer | None = None,
        clock: Monotonic = time.monotonic,
    ) -> None:
        super().__init__()
        self._plain = dict(plain)
        self._network = network
        self._note = note
        self._clock = clock
        self._transports: dict[str, httpx.HTTPTransport] = {}

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:  # noqa: ANN401 as the base
        """Send with the time that the kind of request may take; limits that the library names are not looked at.

        Raises:
            NoAnswerError: no whole answer arrived in time.
            UnreadableError: the answer is too large or badly packed.
            MovedError: the org redirects to another address.
        """
        for prefix, replacement in self._plain.items():
            if request.url and request.url.startswith(prefix):
                request.url = replacement + request.url[len(prefix) :]
        url = httpx.URL(request.url or "")
        sent = httpx.Request(request.method or "GET", url, headers=dict(request.headers), content=request.body)
        try:
            reply = exchange(self._transport(url), sent, budget_of(url.path), self._clock)
        except RedirectError as error:
            raise MovedError(url.host, error.host) from error
        if self._note is not None:
            self._note(_usage(reply), _skew(reply))
        return _Answer(request, reply)

    def close(self) -> None:
        """Close idle connections."""
        for transport in self._transports.values():
            transport.close()
        self._transports.clear()

    def _transport(self, url: httpx.URL) -> httpx.HTTPTransport:
        origin = f"{url.scheme}://{url.netloc.decode('ascii')}"
        if origin not in self._transports:
            self._transports[origin] = self._network.transport(origin, CONNECT_RETRIES)
        return self._transports[origin]


def _usage(reply: Reply) -> tuple[int, int] | None:
    """The org's requests of the day, used and allowed."""
    found = _USAGE.search(reply.headers.get("Sforce-Limit-Info", "")[:1000])
    return (int(found[1]), int(found[2])) if found else None


def _skew(reply: Reply) -> timedelta | None:
    """How far this machine's clock is ahead of the time in the answer's head."""
    try:
        return datetime.now(UTC) - parsedate_to_datetime(reply.headers.get("Date", "")[:100])
    except (ValueError, TypeError):  # no date, or one without a zone
        return None


class MovedError(ConfigurationError):
    """The org answers at another address: its My Domain was renamed, or a login page stands before it."""

    def __init__(self, host: str, new_host: str) -> None:
        at = f"https://{new_host}" if new_host and new_host != host else ""
        is_org = bool(at) and new_host.endswith(MY_DOMAIN)
        remedy = (
            f"if My Domain was renamed, set SALESFORCE_INSTANCE_URL={at}"
            if is_org
            else "check SALESFORCE_INSTANCE_URL (Setup, My Domain), and that nothing on the way asks for a login"
        )
        super().__init__(
            f"Salesforce's address {host} redirects to {new_host or 'an address without a readable name'}: {remedy}. "
            "The login was not sent there"
        )


def budget_of(path: str) -> Budget:
    """The time and size that a request to a path may take."""
    if _WORKING.match(path):
        return Budget(WORK_S, MAX_BYTES, answer_s=ANSWER_S)
    return Budget(TOTAL_S, MAX_BYTES)


def new_session(
    instance_url: str,
    network: NetworkSettings | None = None,
    note: NoteAnswer | None = None,
    clock: Monotonic = time.monotonic,
) -> requests.Session:
    """A session for one org and one thread."""
    parts = urlsplit(instance_url)
    plain: dict[str, str] = {}
    if parts.scheme == "http":
        for host in (parts.netloc, LOOPBACK_DOMAIN + MY_DOMAIN):
            plain[f"https://{host}/"] = f"http://{parts.netloc}/"
    session = requests.Session()
    session.trust_env = False  # proxies and certificates come from `network`
    session.headers.update(CONSTANT_HEADERS)
    adapter = Adapter(plain, network or _DEFAULT_NETWORK, note, clock)
    for scheme in ("https://", "http://"):
        session.mount(scheme, adapter)
    return session


_DEFAULT_NETWORK = NetworkSettings()
