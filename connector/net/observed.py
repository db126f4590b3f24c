"""Observes requests: each is a span and a log line, with its operation, status, attempts and duration.

A request has one or more exchanges: it is repeated if that can help. Each exchange finds its request in a context
variable, so that clients only name what they do.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from connector.core.telemetry import ATTEMPTS, OPERATION, STATUS, SYSTEM, Figure, Value, observer

LOG = logging.getLogger("connector.requests")


@dataclass
class Request:
    """One request.

    Attributes:
        attempts: the exchanges so far.
        status: the HTTP status of the last exchange; 0 without an answer.
        seconds: the duration of all exchanges, without the waits before and between them.
        error: the type of the error that ended it; empty if there was none.
    """

    attempts: int = 0
    status: int = 0
    seconds: float = 0.0
    error: str = ""

    def exchanged(self, status: int, seconds: float) -> None:
        """Count an exchange; its status is 0 without an answer."""
        self.attempts += 1
        self.status = status
        self.seconds += seconds


_REQUEST: ContextVar[Request | None] = ContextVar("request", default=None)


def present_request() -> Request | None:
    """The request whose exchanges this thread makes; None if it has no name."""
    return _REQUEST.get()


@contextmanager
def observed(system: str, operation: str) -> Iterator[None]:
    """Observe one request to a site.

    Args:
        system: the vendor or the CRM.
        operation: a fixed phrase for what the request does.
    """
    request = Request()
    named: dict[str, Value] = {SYSTEM: system, OPERATION: operation}
    token = _REQUEST.set(request)
    with observer().span(f"{system} {operation}", named) as span:
        try:
            yield
        except BaseException as error:
            request.error = type(error).__name__
            span.fail(request.error)
            raise
        finally:
            _REQUEST.reset(token)
            answered: dict[str, Value] = {STATUS: request.status} if request.status else {}
            span.set({ATTEMPTS: request.attempts} | answered)
            observer().measure(Figure.REQUEST_SECONDS, request.seconds, named | answered)
            _log(system, operation, request)


def _log(system: str, operation: str, request: Request) -> None:
    if LOG.isEnabledFor(logging.DEBUG):
        found = {"system": system, "operation": operation, "status": request.status, "attempts": request.attempts}
        failed = {"error": request.error} if request.error else {}
        LOG.debug("request ended", extra=found | {"seconds": round(request.seconds, 3)} | failed)
