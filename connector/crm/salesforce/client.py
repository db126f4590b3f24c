"""One request to Salesforce: counted, repeated where that can help, re-authenticated once, kept within the quota."""

import threading
from collections.abc import Callable
from typing import Any

import requests
import tenacity
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import SalesforceError, SalesforceExpiredSession

from connector.core.errors import DownError, PassingError, QuotaError
from connector.crm.interface import Usage, always
from connector.crm.salesforce.errors import is_passing, translate
from connector.crm.salesforce.transport import Login, TokenSource, new_session

ATTEMPTS = 5
GIVE_UP_AFTER_S = 120.0


class _TryAgainError(Exception):
    """Worth another try; the cause says why."""


class Client:
    """Requests to one org; threads that share it take turns.

    Args:
        login: how to log in.
        version: of the REST API, such as 67.0.
        reserve_percent: share of the daily quota that is never touched.
        sleep: waits a number of seconds (scaled in rehearsals).
    """

    def __init__(self, login: Login, version: str, reserve_percent: int, sleep: Callable[[float], None]) -> None:
        self._login = login
        self._version = version
        self._reserve_percent = reserve_percent
        self._sleep = sleep
        self._session = new_session(login.instance_url)
        self._tokens = TokenSource(login, self._session)
        self._salesforce: Salesforce | None = None
        self._token = ""
        self._calls = {"read": 0, "write": 0, "other": 0}
        self._quota: tuple[int, int] | None = None
        self._turn = threading.Lock()  # neither the session nor the library's client is made for several threads

    def call(self, kind: str, what: str, path: str, **request: Any) -> Any:  # noqa: ANN401 JSON
        """Send one request that may be repeated, and give back its decoded JSON.

        Args:
            kind: read or other, for the count.
            what: what is being done, for messages.
            path: below `/services/data/vNN.N/`.
            request: as for `Salesforce.restful`.

        Raises:
            QuotaError: the reserve of the daily quota is reached.
            DownError: no usable answer in several attempts.
            ConfigurationError: Salesforce refuses what was asked.
        """
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(ATTEMPTS) | tenacity.stop_after_delay(GIVE_UP_AFTER_S),
            wait=tenacity.wait_exponential_jitter(multiplier=1, max=20),
            retry=tenacity.retry_if_exception_type(_TryAgainError),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return retrying(self._once, kind, what, path, request)
        except _TryAgainError as error:
            cause = error.__cause__
            if isinstance(cause, SalesforceError):
                raise translate(cause, what) from cause
            raise DownError(
                f"Salesforce cannot be reached ({type(cause).__name__}) at {what}; check SALESFORCE_INSTANCE_URL and "
                "the network, then run again"
            ) from error

    def write(self, what: str, path: str, body: object, may_leave: Callable[[], bool]) -> Any:  # noqa: ANN401 JSON
        """PATCH once: what is written must be compared again before it may be sent again.

        Args:
            what: what is being done, for messages.
            path: below `/services/data/vNN.N/`.
            body: as JSON.
            may_leave: asked each time the bytes are about to leave.

        Raises:
            PassingError: it may or may not have taken effect, or `may_leave` said no.
            QuotaError, DownError, ConfigurationError: as for `call`.
        """
        try:
            return self._once("write", what, path, {"method": "PATCH", "json": body}, may_leave)
        except _TryAgainError as error:
            why = type(error.__cause__).__name__ if error.__cause__ else str(error)
            raise PassingError(f"Salesforce did not take a write ({why}); run again later") from error

    def _once(
        self, kind: str, what: str, path: str, request: dict[str, Any], may_leave: Callable[[], bool] = always
    ) -> Any:  # noqa: ANN401 JSON
        self._check_quota()
        try:
            return self._authenticated(kind, path, request, may_leave)
        except SalesforceError as error:
            if is_passing(error):
                raise _TryAgainError from error
            raise translate(error, what) from error
        except (requests.RequestException, ValueError) as error:  # ValueError: a 2xx body that is not JSON
            raise _TryAgainError from error

    def _authenticated(self, kind: str, path: str, request: dict[str, Any], may_leave: Callable[[], bool]) -> Any:  # noqa: ANN401 JSON
        with self._turn:
            try:
                return self._send(self._client(None), kind, path, request, may_leave)
            except SalesforceExpiredSession:
                return self._send(self._client(self._token), kind, path, request, may_leave)

    def _client(self, stale: str | None) -> Salesforce:
        """The library's client around a token that is not `stale`."""
        if self._salesforce is None or stale is not None:
            self._token = self._tokens.get(stale)
            self._salesforce = Salesforce(
                session_id=self._token,
                instance_url=self._login.instance_url,
                session=self._session,
                version=self._version,
                object_pairs_hook=None,
            )
        return self._salesforce

    def _send(
        self, salesforce: Salesforce, kind: str, path: str, request: dict[str, Any], may_leave: Callable[[], bool]
    ) -> Any:  # noqa: ANN401 JSON
        if not may_leave():
            raise _TryAgainError("it waited too long before it could leave")
        self._calls[kind] += 1
        answer = salesforce.restful(path, **request)
        self._tokens.worked()
        usage = salesforce.api_usage.get("api-usage")
        if usage is not None:
            self._quota = (usage.used, usage.total)
        return answer

    def _check_quota(self) -> None:
        if self._quota is None:
            return
        used, limit = self._quota
        if limit and used >= limit * (100 - self._reserve_percent) / 100:
            raise QuotaError(
                f"Salesforce's daily requests are at {used} of {limit}, and {self._reserve_percent} percent are kept "
                "for others (SALESFORCE_API_RESERVE_PERCENT); run again later"
            )

    def note_quota(self, used: int, limit: int) -> None:
        """What the limits resource says; later answers carry newer figures."""
        self._quota = (used, limit)
        self._check_quota()

    def usage(self) -> Usage:
        """Requests so far."""
        used, limit = self._quota if self._quota else (None, None)
        return Usage(self._calls["read"], self._calls["write"], self._calls["other"], used, limit)

    def close(self) -> None:
        """Close idle connections."""
        self._session.close()
