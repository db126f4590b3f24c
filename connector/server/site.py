"""The routes: each checks the caller and the body, stores the request, and answers."""

import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from connector.app.inbound import ROUTES, ConflictError, CrowdedError, InboundRoute, InboundService, NotAcceptedError
from connector.core.model import RECORD_OUTCOMES
from connector.core.states import RequestItemState
from connector.server import bodies, openapi
from connector.server.guards import NOT_FOUND, body_of, is_own_name, json_of, require_secret, require_token
from connector.server.metrics import Metrics
from connector.server.routes import Handler, Routes

LOG = logging.getLogger("connector.http")
MOST_REQUEST_BYTES = 128 * 1024
MOST_CALLBACK_BYTES = 64 * 1024
MISDIRECTED = 421
RETRY_AFTER_S = "300"  # by then a run has verified the waiting callbacks with the vendor
_REQUEST_ID = re.compile(bodies.REQUEST_ID)
_MESSAGES = {404: "not found", 405: "this method is not allowed here"}


@dataclass(frozen=True)
class Secrets:
    """What callers must show.

    Attributes:
        token: of the trigger API; None closes its routes.
        messages: by CRM, the secret of its inbound route; without one the route is closed.
    """

    token: str | None = None
    messages: Mapping[str, str] = field(default_factory=dict)


class Site:
    """The routes of `connector serve`.

    Args:
        inbound: stores inbound requests.
        secrets: the secrets of the callers.
        alive: whether the embedded driver is running; always true without one.
        version: the version of the connector.
        public_url: the public address of the server; empty if there is none.
        loopback: whether it listens on a loopback address; routes without login then accept only this machine's names.
    """

    def __init__(
        self,
        inbound: InboundService,
        secrets: Secrets,
        alive: Callable[[], bool],
        version: str,
        public_url: str = "",
        *,
        loopback: bool = False,
    ) -> None:
        self._inbound = inbound
        self._secrets = secrets
        self._alive = alive
        self._public_url = public_url
        self._loopback = loopback
        self._document = openapi.document(version, public_url)
        self._metrics = Metrics(inbound.figures)

    def application(self, pages: Sequence[tuple[str, str, Handler]] = ()) -> ASGIApp:
        """Build the ASGI application.

        Args:
            pages: the routes of the pages for people.
        """
        routes: Routes = [
            ("POST", "/v1/enrichments", self._ask),
            ("POST", openapi.RECORD_PATH, self._ask_record),
            ("GET", "/v1/enrichments/{request_id}", self._look),
            *(("POST", route.path, self._message(crm, route)) for crm, route in ROUTES.items()),
            ("POST", "/v1/callbacks/{provider}/{token}", self._callback),
            *(
                ("GET", path, self._for_own_names(handler))
                for path, handler in (
                    ("/healthz", self._healthz),
                    ("/readyz", self._readyz),
                    ("/metrics", self._show_metrics),
                    ("/openapi.json", self._openapi),
                )
            ),
            *((method, path, self._for_own_names(handler)) for method, path, handler in pages),
        ]
        made = Starlette(
            routes=[Route(path, handler, methods=[method]) for method, path, handler in routes],
            exception_handlers={HTTPException: _refused, Exception: _failed},
        )
        made.router.redirect_slashes = False  # a redirect would reveal that a route with a secret exists
        return _Watched(made, self._metrics, {handler: path for _, path, handler in routes})

    def _for_own_names(self, handler: Handler) -> Handler:
        """Protect a route without login from web pages that resolve their own host name to loopback."""

        async def guarded(request: Request) -> Response:
            if self._loopback and not is_own_name(request.headers.get("host", ""), self._public_url):
                raise HTTPException(MISDIRECTED, "this host name is not served here; use the address that serve prints")
            return await handler(request)

        return guarded

    async def _ask(self, request: Request) -> Response:
        require_token(request, self._secrets.token)
        body = await json_of(request, MOST_REQUEST_BYTES)
        try:
            asked = bodies.read_request(body)
        except ValueError as error:
            raise HTTPException(400, str(error)) from None
        accepted = await _stored(lambda: self._inbound.ask(asked.mapping, asked.record_ids, asked.request_id))
        return _json(bodies.Accepted(**asdict(accepted)), 202)

    async def _ask_record(self, request: Request) -> Response:
        require_token(request, self._secrets.token)
        await body_of(request, MOST_REQUEST_BYTES)  # some clients send an empty object; it is not read
        mapping, record = (str(request.path_params[name]) for name in ("mapping", "record"))
        accepted = await _stored(lambda: self._inbound.ask(mapping, [record]))
        return _json(bodies.Accepted(**asdict(accepted)), 202)

    async def _look(self, request: Request) -> Response:
        require_token(request, self._secrets.token)
        request_id = str(request.path_params["request_id"])
        found = await _stored(lambda: self._inbound.look(request_id)) if _REQUEST_ID.fullmatch(request_id) else None
        if found is None:
            raise HTTPException(NOT_FOUND)
        records = sum(found.states.values())
        return _json(
            bodies.RequestState(
                request_id=request_id,
                state=found.state,
                records=records,
                open=records - found.states.get(RequestItemState.DONE, 0),
                reasons=[bodies.Reason(**asdict(one)) for one in found.reasons],
                **{outcome.value: found.outcomes.get(outcome.value, 0) for outcome in RECORD_OUTCOMES},
            )
        )

    def _message(self, crm: str, route: InboundRoute) -> Handler:
        """The handler of a CRM's own messages."""

        async def taken(request: Request) -> Response:
            require_secret(request, self._secrets.messages.get(crm))
            if request.headers.get("content-type", "").partition(";")[0].strip().lower() not in route.media_types:
                raise HTTPException(415, f"the body must be {max(route.media_types)}")
            raw = await body_of(request, route.most_bytes)
            message = await run_in_threadpool(route.parse, raw)  # the largest ones take a second
            if message is None:
                raise HTTPException(400, f"the body is not a valid {route.message_name}")
            mapping = request.query_params.get("mapping", "")
            await _stored(lambda: self._inbound.notify(crm, message, mapping))
            text, media_type = route.acknowledgement
            return Response(text, media_type=media_type)

        return taken

    async def _callback(self, request: Request) -> Response:
        provider, address = str(request.path_params["provider"]), str(request.path_params["token"])
        if not self._inbound.is_ours(address):
            raise HTTPException(NOT_FOUND)
        body = await json_of(request, MOST_CALLBACK_BYTES)
        if not await _stored(lambda: self._inbound.called_back(provider, address, body)):
            raise HTTPException(NOT_FOUND)
        return JSONResponse({"status": "stored"})

    async def _healthz(self, _request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def _readyz(self, _request: Request) -> Response:
        ready = self._alive() and await run_in_threadpool(self._inbound.is_ready)
        return JSONResponse({"status": "ready" if ready else "not ready"}, 200 if ready else 503)

    async def _show_metrics(self, _request: Request) -> Response:
        text = await _stored(self._metrics.text)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def _openapi(self, _request: Request) -> Response:
        return JSONResponse(self._document)


async def _stored(work: Callable[[], Any]) -> Any:  # noqa: ANN401 whatever the work gives back
    """Run work on the ledger outside the event loop.

    Raises:
        HTTPException: 400, 409, 429 or 503, with a fixed message.
    """
    try:
        return await run_in_threadpool(work)
    except ConflictError:
        raise HTTPException(409, "this request_id was used with another body") from None
    except CrowdedError:
        raise HTTPException(429, "too many callbacks wait for this request", {"Retry-After": RETRY_AFTER_S}) from None
    except NotAcceptedError as error:
        raise HTTPException(400, str(error)) from None
    except sa.exc.SQLAlchemyError as error:
        LOG.warning("a request could not be stored or read", extra={"kind": type(error).__name__})
        raise HTTPException(503, "the request could not be stored or read; send it again") from None


def _refused(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    message = _MESSAGES.get(error.status_code, error.detail)
    return _json(bodies.Error(error=message), error.status_code, error.headers)


def _json(body: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(body.model_dump_json(), status, headers, media_type="application/json")


def _failed(_request: Request, _error: Exception) -> Response:
    # uvicorn closes the connection after a fault; the header keeps the client from sending another request on it.
    return _json(bodies.Error(error="internal fault"), 500, {"Connection": "close"})


class _Watched:
    """Counts and logs each answer by its route's template, and adds the headers that every answer has."""

    def __init__(self, inner: Starlette, metrics: Metrics, templates: Mapping[Handler, str]) -> None:
        self._inner = inner
        self._metrics = metrics
        self._templates = templates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                more = [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]
                message = {**message, "headers": [*message.get("headers", []), *more]}
            await send(message)

        try:
            await self._inner(scope, receive, watched)
        finally:
            route = self._templates.get(scope.get("endpoint", _failed), "other")
            seconds = time.perf_counter() - began
            self._metrics.answered(route, status, seconds)
            LOG.info("answered", extra={"route": route, "status": status, "ms": round(seconds * 1000, 1)})
