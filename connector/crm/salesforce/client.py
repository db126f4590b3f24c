"""One request to Salesforce: counted, repeated where that can help, re-authenticated once, kept within the quota."""

import re
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar
from urllib.parse import urlsplit

import requests
import tenacity

from connector.core.errors import ConfigurationError, ConnectorError, DownError, PassingError, QuotaError
from connector.crm.interface import Usage, always
from connector.crm.salesforce.bodies import ApiVersions, RequestBody
from connector.crm.salesforce.errors import SIMULATOR_LIMIT, code_of, is_own_error, is_passing, translate
from connector.crm.salesforce.library import Salesforce, SalesforceError, SalesforceExpiredSession
from connector.crm.salesforce.login import Login
from connector.crm.salesforce.request import CSV_TYPE, File, Request
from connector.crm.salesforce.soql import literals
from connector.crm.salesforce.tokens import TokenSource
from connector.crm.salesforce.transport import new_session
from connector.net import ExchangeError, NetworkSettings, NoAnswerError, UnreadableError
from connector.net.deadline import Monotonic
from connector.net.observed import observed

_VERSION = re.compile(r"[0-9]{1,3}\.0")
ATTEMPTS = 5
SYSTEM = "salesforce"  # in the log
_SOAP_HEADERS = {"Content-Type": "text/xml; charset=UTF-8", "SOAPAction": '""'}
T = TypeVar("T")
GIVE_UP_AFTER_S = 120.0


NO_SCOPE = (
    "Salesforce gives a token and refuses every request with it (HTTP 401{code}): add the scope 'Manage user data via "
    "APIs (api)' to the External Client App, and check that its run-as user has 'API Enabled'"
)


class _TryAgainError(Exception):
    """Worth another try; the cause says why."""


class SoapFaultError(Exception):
    """The Metadata API refuses a request; the code is Salesforce's."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class _VersionError(ConfigurationError):
    """The org does not know the API version, so nothing can be asked."""


class Client:
    """Requests to one org; threads that share it take turns.

    Args:
        login: how to log in.
        version: of the REST API, such as 67.0.
        reserve_percent: share of the daily quota that is never touched.
        sleep: waits a number of seconds (scaled in rehearsals).
        network: proxies and trusted certificates.
        clock: monotonic seconds, for the deadline of each request.
        explain: gets the seconds and the reason of each wait between tries.

    Attributes:
        login: how it logs in.
        clock_skew: how far this machine's clock is ahead of Salesforce's, by the last answer; None if unknown.
    """

    def __init__(
        self,
        login: Login,
        version: str,
        reserve_percent: int,
        sleep: Callable[[float], None],
        network: NetworkSettings | None = None,
        clock: Monotonic = time.monotonic,
        explain: Callable[[float, str], None] | None = None,
    ) -> None:
        self.login = login
        self.version = version
        self._reserve_percent = reserve_percent
        self._sleep = sleep
        self._explain = explain
        self.clock_skew: timedelta | None = None
        self._session = new_session(login.instance_url, network, self._note_answer, clock)
        self._tokens = TokenSource(login, self._session)
        self._salesforce: Salesforce | None = None
        self._token = ""
        self._calls = {"read": 0, "write": 0, "other": 0}
        self._quota: tuple[int, int] | None = None
        self._turn = threading.Lock()  # neither the session nor the library's client is made for several threads

    def call(
        self, kind: str, what: str, path: str, *, soql: str | None = None, body: RequestBody | None = None
    ) -> object:
        """Send one request that may be repeated, and give back its decoded JSON for a model to read.

        Args:
            kind: read or other, for the count.
            what: what is being done, for messages.
            path: below `/services/data/vNN.N/`.
            soql: the query, for `query` and `queryAll`.
            body: sent as JSON; it makes the request a POST.

        Raises:
            QuotaError: the reserve of the daily quota is reached.
            DownError: no usable answer in several attempts.
            ConfigurationError: Salesforce refuses what was asked.
        """
        return self.repeated(what, Request(kind, path, "GET" if body is None else "POST", soql, body))

    def repeated(self, what: str, request: Request) -> object:
        """As `call`, for any request that may be repeated."""
        return self._retried(what, lambda: self._once(what, request))

    def file(self, what: str, request: Request, read: Callable[[File], T]) -> T:
        """Fetch a CSV file and read it; repeated as `call`, also if `read` raises UnreadableError."""

        def attempt() -> T:
            found = self._once(what, replace(request, wants_file=True))
            if not isinstance(found, File):
                raise TypeError("a request for a file returned something else")
            try:
                return read(found)
            except UnreadableError as error:
                raise _TryAgainError from error

        return self._retried(what, attempt)

    def _retried(self, what: str, attempt: Callable[[], T]) -> T:
        with observed(SYSTEM, what):
            return self._repeat(what, attempt)

    def _repeat(self, what: str, attempt: Callable[[], T]) -> T:
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(ATTEMPTS) | tenacity.stop_after_delay(GIVE_UP_AFTER_S),
            wait=tenacity.wait_exponential_jitter(multiplier=1, max=20),
            retry=tenacity.retry_if_exception_type(_TryAgainError),
            sleep=self._sleep,
            before_sleep=self._before_sleep,
            reraise=True,
        )
        try:
            return retrying(attempt)
        except _TryAgainError as error:
            cause = error.__cause__
            if isinstance(cause, SalesforceError):
                raise translate(cause, what) from cause
            raise DownError(_without_answer(cause or error, what)) from cause

    def _before_sleep(self, state: tenacity.RetryCallState) -> None:
        if self._explain is not None and state.next_action is not None:
            self._explain(state.next_action.sleep, "Salesforce gave no usable answer")

    def optional(self, what: str, path: str) -> object:
        """As `call`, for what is useful and not needed: None where Salesforce refuses it or fails at it.

        Raises:
            QuotaError, DownError, ConfigurationError: as for `call`, unless Salesforce's error concerns this alone.
        """
        try:
            return self.call("other", what, path)
        except _VersionError:
            raise
        except ConnectorError as error:
            cause = error.__cause__
            if not isinstance(cause, SalesforceError) or not is_own_error(cause):
                raise
            self._tokens.worked()
            return None

    def soap(self, what: str, envelope: Callable[[str], bytes], read: Callable[[bytes], T]) -> T:
        """Send one request to the Metadata API that may be repeated, and read its answer.

        Args:
            what: what is being done, for messages.
            envelope: makes the body with an access token.
            read: reads the answer; raises UnreadableError or SoapFaultError.

        Raises:
            SoapFaultError: Salesforce refuses the request.
            DownError: no usable answer in several attempts.
        """
        url = f"https://{urlsplit(self.login.instance_url).netloc}/services/Soap/m/{self.version}"

        def send(stale: str | None) -> T:
            self._client(stale)
            self._calls["other"] += 1
            answer = self._session.post(url, envelope(self._token), headers=_SOAP_HEADERS)
            found = read(answer.content)
            self._tokens.worked()
            return found

        def attempt() -> T:
            self._check_quota()
            with self._turn:
                try:
                    return send(None)
                except SoapFaultError as error:
                    if error.code != "INVALID_SESSION_ID":
                        raise
                    return send(self._token)
                except ExchangeError as error:
                    raise _TryAgainError from error

        return self._retried(what, attempt)

    def write(self, what: str, path: str, body: RequestBody, may_leave: Callable[[], bool]) -> object:
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
        return self.send_once(what, Request("write", path, "PATCH", body=body), may_leave)

    def send_once(self, what: str, request: Request, may_leave: Callable[[], bool] = always) -> object:
        """As `write`, for any request."""
        with observed(SYSTEM, what):
            return self._send_once(what, request, may_leave)

    def _send_once(self, what: str, request: Request, may_leave: Callable[[], bool]) -> object:
        try:
            return self._once(what, request, may_leave)
        except _TryAgainError as error:
            cause = error.__cause__
            if isinstance(cause, ExchangeError):
                raise PassingError(f"Salesforce {cause.why} at {what}; run again later") from error
            why = f"HTTP {cause.status}" if isinstance(cause, SalesforceError) else str(error)
            raise PassingError(f"Salesforce did not take a write ({why}); run again later") from error

    def _once(self, what: str, request: Request, may_leave: Callable[[], bool] = always) -> object:
        self._check_quota()
        try:
            return self._authenticated(request, may_leave)
        except SalesforceError as error:
            if is_passing(error):
                raise _TryAgainError from error
            raise self._refusal(error, what, request) from error
        except NoAnswerError as error:
            if error.lasting:
                kind_of_error = DownError if self._tokens.has_worked else ConfigurationError
                raise kind_of_error(f"Salesforce {error.why}") from error
            raise _TryAgainError from error
        except (ExchangeError, requests.RequestException, ValueError) as error:
            raise _TryAgainError from error

    def _refusal(self, error: SalesforceError, what: str, request: Request) -> ConnectorError:
        """What a definite error means; before anything was answered, it is the set-up that is wrong."""
        is_first, code = not self._tokens.has_worked, code_of(error)
        if error.status == 401 and is_first:
            return ConfigurationError(NO_SCOPE.format(code=f", {code}" if code else ""))
        if error.status in {404, 410} and is_first and code != SIMULATOR_LIMIT:
            offered = self._offered_versions()
            if self.version not in offered:
                span = f" (it offers {offered[0]} to {offered[-1]})" if offered else ""
                return _VersionError(
                    f"this org does not know API version {self.version}; set SALESFORCE_API_VERSION{span}"
                )
        return translate(error, what, literals(request.soql or ""), is_first=is_first)

    def _offered_versions(self) -> list[str]:
        """The API versions that the org lists, oldest first; none where the list cannot be read."""
        self._calls["other"] += 1
        host = urlsplit(self.login.instance_url).netloc
        try:
            found = ApiVersions.read(self._session.get(f"https://{host}/services/data/").json())
        except (ExchangeError, requests.RequestException):
            return []
        versions = {row.version for row in found.rows or ()}
        return sorted((one for one in versions if _VERSION.fullmatch(one)), key=float)

    def _authenticated(self, request: Request, may_leave: Callable[[], bool]) -> object:
        with self._turn:
            try:
                return self._send(self._client(None), request, may_leave)
            except SalesforceExpiredSession:
                return self._send(self._client(self._token), request, may_leave)

    def _client(self, stale: str | None) -> Salesforce:
        """The library's client around a token that is not `stale`."""
        if self._salesforce is None or stale is not None:
            self._token = self._tokens.get(stale)
            self._salesforce = Salesforce(
                session_id=self._token,
                instance_url=self.login.instance_url,
                session=self._session,
                version=self.version,
                object_pairs_hook=None,
            )
        return self._salesforce

    def _send(self, salesforce: Salesforce, request: Request, may_leave: Callable[[], bool]) -> object:
        arguments = request.arguments()
        if not may_leave():
            raise _TryAgainError("it waited too long before it could leave")
        self._calls[request.kind] += 1
        answer: object
        if request.wants_file or isinstance(request.body, bytes):  # `restful` reads neither CSV nor the empty answer
            url = salesforce.base_url + request.path
            raw = salesforce._call_salesforce(url=url, name=request.path, **arguments)
            answer = _file_of(raw) if request.wants_file else None
        else:
            answer = salesforce.restful(request.path, **arguments)
        self._tokens.worked()
        return answer

    def _note_answer(self, used: tuple[int, int] | None, skew: timedelta | None) -> None:
        self._quota = used or self._quota
        self.clock_skew = skew if skew is not None else self.clock_skew

    def _check_quota(self) -> None:
        if self._quota is None:
            return
        used, limit = self._quota
        if limit and used * 100 >= limit * (100 - self._reserve_percent):
            raise QuotaError(
                f"Salesforce's daily requests are at {used} of {limit}, and {self._reserve_percent} percent are kept "
                "for others (SALESFORCE_API_RESERVE_PERCENT); run again later"
            )

    def note_quota(self, used: int, limit: int) -> None:
        """Take the figures of the limits resource; later answers carry newer ones."""
        self._quota = (used, limit)

    def check_quota(self) -> None:
        """Keep the reserve.

        Raises:
            QuotaError: it is reached.
        """
        self._check_quota()

    def usage(self) -> Usage:
        """Requests so far."""
        used, limit = self._quota if self._quota else (None, None)
        return Usage(
            self._calls["read"], self._calls["write"], self._calls["other"], used, limit, self._reserve_percent
        )

    def close(self) -> None:
        """Close idle connections."""
        self._session.close()


def _file_of(answer: requests.Response) -> File:
    media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if answer.status_code != 200 or media_type != CSV_TYPE:
        raise UnreadableError("answered with something else than a CSV file")
    return File(answer.content.decode("utf-8"), dict(answer.headers))


def _without_answer(cause: BaseException, what: str) -> str:
    if isinstance(cause, NoAnswerError) and not cause.left:
        return f"Salesforce {cause.why} at {what}; check SALESFORCE_INSTANCE_URL and the network, then run again"
    why = cause.why if isinstance(cause, ExchangeError) else f"gave no readable answer ({type(cause).__name__})"
    return f"Salesforce {why} at {what}; run again later"
