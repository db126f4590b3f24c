"""The common entry of both simulated vendors: key, rate limit, misbehaviour, log.

The steps for each request: read it completely, check the key, count it against the rate window, apply an armed fault,
do the work, answer. The site's lock covers all of them, so that simultaneous submissions are handled one by one.
"""

import asyncio
import json
import math
import threading
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from connector.simulator import spoil
from connector.simulator.clock import SimClock
from connector.simulator.dropping import Dropped
from connector.simulator.faults import Fault, Faults
from connector.simulator.requests_log import DROPPED, LoggedRequest, RequestLog

WINDOW_SECONDS = 60.0
ANY_METHOD = ["GET", "POST", "PUT", "PATCH", "DELETE"]


class RefusalError(Exception):
    """The site refuses a request; holds the content of the error answer.

    Attributes:
        status: HTTP status.
        message: text for the error body; empty for the vendor's usual text.
        details: further members of the error body, if the contract has them.
        headers: headers of the answer, such as `Retry-After`.
    """

    def __init__(
        self,
        status: int,
        message: str = "",
        details: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {message}")
        self.status = status
        self.message = message
        self.details = details
        self.headers = dict(headers or {})


@dataclass(frozen=True)
class Caller:
    """The sender of a request: its key, and the account that owns the key."""

    key: str
    account: str


@dataclass(frozen=True)
class Call:
    """One request, completely read and admitted.

    Attributes:
        operation: the contract's `operationId`.
        account: the account that owns the key.
        request_id: the vendor's trace id of this request.
        path: values in the route, such as `taskId`.
        query: query parameters; the last one of a repeated name.
        body: the parsed JSON body; None if there was none or it could not be read.
        fault: the misbehaviour for this request, if any.
    """

    operation: str
    account: str
    request_id: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: object
    fault: Fault | None = None


@dataclass(frozen=True)
class Answer:
    """The answer of the site, before any misbehaviour.

    Attributes:
        status: HTTP status.
        body: a JSON value.
        headers: headers beyond the usual ones.
        after: called outside the lock before the answer leaves.
    """

    status: int
    body: object
    headers: Mapping[str, str] = field(default_factory=dict)
    after: Callable[[], None] | None = None


@dataclass
class _Window:
    """One key's count within one rate window."""

    ends_at: float
    used: int = 0


Act = Callable[[Call], Answer]


class Front(ABC):
    """Handles every request around the actual work; one per site.

    Attributes:
        vendor: the site's name in faults and charges.
        actions: the supported fault actions.
        state_words: the fields that hold a state, for the fault `unknown_word`.
        documented_headers: whether the contract has trace and rate headers.
        rate_limit: requests per key and window; None for no limit.
        requests: the log of requests.
    """

    vendor: ClassVar[str]
    state_words: ClassVar[tuple[str, ...]]
    documented_headers: ClassVar[bool]
    actions: ClassVar[frozenset[str]]

    def __init__(self, clock: SimClock, faults: Faults, lock: threading.RLock) -> None:
        self.clock = clock
        self.faults = faults
        self.lock = lock
        self.rate_limit: int | None = None
        self.requests = RequestLog()
        self._windows: dict[str, _Window] = {}

    @abstractmethod
    def authenticate(self, request: Request) -> Caller:
        """Identify the caller; raises RefusalError(401) for a missing or unknown key."""

    @abstractmethod
    def error_body(self, refusal: RefusalError, request_id: str) -> object:
        """The vendor's error body."""

    @abstractmethod
    def subjects(self, call: Call) -> frozenset[str]:
        """The persons that a request names; faults may be armed for one of them."""

    @abstractmethod
    def settle(self) -> None:
        """Bring the site's state up to date; called before the work of each request."""

    def people(self, call: Call) -> int:
        """The number of persons that a request names."""
        return len(self.subjects(call))

    def route(self, method: str, path: str, operation: str, act: Act) -> Route:
        """Build a route of the contract."""
        return Route(path, self._endpoint(operation, act), methods=[method])

    def unknown_route(self) -> Route:
        """Build the route for everything outside the contract: refused as not found, and logged as `unknown`."""

        def refuse(_call: Call) -> Answer:
            raise RefusalError(404)

        return Route("/{path:path}", self._endpoint("unknown", refuse), methods=ANY_METHOD)

    def _endpoint(self, operation: str, act: Act) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            raw = await request.body()
            with self.requests.under_way():
                with self.lock:
                    response, fault, after = self._handle(operation, act, request, raw)
                if after is not None:
                    await run_in_threadpool(after)
                if fault is not None and fault.action == "delay":
                    await asyncio.sleep(spoil.number(fault, "seconds", 1.0))
            return response

        return answer

    def _handle(
        self, operation: str, act: Act, request: Request, raw: bytes
    ) -> tuple[Response, Fault | None, Callable[[], None] | None]:
        self.settle()
        request_id = str(uuid.uuid4())
        headers = {"X-Request-ID": request_id} if self.documented_headers else {}
        call = Call(operation, "", request_id, request.path_params, request.query_params, _parsed(request, raw))
        fault: Fault | None = None
        try:
            caller = self.authenticate(request)
            headers |= self._meter(caller.key)
            fault = self._fault(call)
            call = Call(operation, caller.account, request_id, call.path, call.query, call.body, fault)
            response, answer = self._spoilt_before(call, request.method), None
            if response is None:
                answer = act(call)
                response = self._spoilt_after(answer, fault, headers)
        except RefusalError as refusal:
            answer = None
            body = self.error_body(refusal, request_id)
            response = JSONResponse(body, refusal.status, headers | refusal.headers)
        status = DROPPED if isinstance(response, Dropped) else response.status_code
        self.requests.add(LoggedRequest(operation, status, self.people(call), self.clock.now()))
        return response, fault, answer.after if answer else None

    def _fault(self, call: Call) -> Fault | None:
        fault = self.faults.take(self.vendor, call.operation, self.subjects(call))
        if fault is not None and fault.action not in self.actions:
            raise ValueError(f"{self.vendor} knows no fault action {fault.action!r}; known: {sorted(self.actions)}")
        return fault

    def _spoilt_before(self, call: Call, method: str) -> Response | None:
        """The answer of a fault that prevents the work; None if the work is to be done."""
        fault = call.fault
        if fault is None:
            return None
        if fault.action == "status":
            waiting = fault.params.get("retry_after")
            headers = {} if waiting is None else {"Retry-After": str(waiting)}
            raise RefusalError(int(spoil.number(fault, "status", 500)), headers=headers)
        if fault.action == "not_found":
            raise RefusalError(404)
        return spoil.before(fault, call.request_id, 201 if method == "POST" else 200)

    def _spoilt_after(self, answer: Answer, fault: Fault | None, headers: Mapping[str, str]) -> Response:
        """The answer that is sent: complete, or spoilt by a fault after the work was done."""
        if fault is not None:
            spoilt = spoil.after(fault, answer.status, answer.body)
            if spoilt is not None:
                return spoilt
        body = answer.body if fault is None else spoil.changed(fault, answer.body, self.state_words)
        return JSONResponse(body, answer.status, {**headers, **answer.headers})

    def _meter(self, key: str) -> dict[str, str]:
        """Count one request of a key; returns the rate headers.

        Raises:
            RefusalError: 429, if the window is used up.
        """
        if self.rate_limit is None:
            return {}
        now = self.clock.now()
        window = self._windows.get(key)
        if window is None or now >= window.ends_at:
            window = self._windows[key] = _Window(now + WINDOW_SECONDS)
        allowed = window.used < self.rate_limit
        window.used += allowed
        left = window.ends_at - now
        headers = self._rate_headers(self.rate_limit, max(0, self.rate_limit - window.used), left)
        if not allowed:
            raise RefusalError(429, headers={**headers, "Retry-After": str(math.ceil(left))})
        return headers

    def _rate_headers(self, limit: int, remaining: int, left_seconds: float) -> dict[str, str]:
        """The vendor's rate headers; `Reset` is a real time, because clients compare it with their clock."""
        if not self.documented_headers:
            return {}
        return {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(remaining),
            "X-RateLimit-Reset": str(math.ceil(time.time() + left_seconds)),
        }


def _parsed(request: Request, raw: bytes) -> object:
    """The JSON value of a body with a JSON content type, else None."""
    if not raw or not request.headers.get("content-type", "").lower().startswith("application/json"):
        return None
    try:
        return json.loads(raw)
    except ValueError:
        return None
