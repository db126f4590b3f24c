"""The simulated Salesforce: an org with its REST API over HTTP.

It is built from Salesforce's documentation and recorded answers, not from the connector's requests. Operation names for
faults and counters: token, metadata, assign_permission_set, versions, resources, limits, describe_global,
describe_basic, describe, query, query_all, query_more, retrieve_one, retrieve_many, create_one, update_one,
update_many; those of bulk jobs are in `ingest.py` and `query_jobs.py`. The fault actions are listed in `gate.py`.
"""

import re
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from connector.simulator.clock import SimClock
from connector.simulator.faults import Faults
from connector.simulator.salesforce.auth import TokenEndpoint, Tokens
from connector.simulator.salesforce.counting import RequestCounts
from connector.simulator.salesforce.drop import ensure_hang_up
from connector.simulator.salesforce.errors import ApiError, not_found, simulator_limit
from connector.simulator.salesforce.exchange import Operation
from connector.simulator.salesforce.gate import ACTIONS, Gate, error_response, oversized
from connector.simulator.salesforce.ids import IdSequence
from connector.simulator.salesforce.ingest import Ingest
from connector.simulator.salesforce.jobs import Pace
from connector.simulator.salesforce.metadata import Metadata
from connector.simulator.salesforce.org import Org
from connector.simulator.salesforce.query_jobs import QueryJobs
from connector.simulator.salesforce.reading import Reading
from connector.simulator.salesforce.writing import Writing

_VERSIONED = re.compile(r"/services/data/v\d+\.0/([A-Za-z-]+)(?:/.*)?")
_RESOURCES = frozenset(
    {
        *("actions", "analytics", "appMenu", "async-queries", "chatter", "commerce", "compactLayouts", "composite"),
        *("connect", "consent", "dedupe", "event", "folders", "graphql", "jobs", "knowledgeManagement", "licensing"),
        *("limits", "metadata", "parameterizedSearch", "process", "query", "queryAll", "quickActions", "recent"),
        *("search", "sobjects", "support", "tabs", "theme", "tooling", "ui-api", "wave"),
    }
)
"""The resources of Salesforce's REST API; the simulator serves some of them."""
_WRITABLE = frozenset({"composite", "sobjects"})
"""Resources with methods that the simulator does not support: deleting, creating several records, HEAD."""
VERSIONS = tuple(f"{number}.0" for number in range(31, 69))


class SalesforceSite:
    """One org and its API.

    Args:
        clock: the simulated time.
        faults: the armed faults; this site's name in them is `salesforce`.
        organization_id: the org's own id; by default the same at every start.

    Attributes:
        app: the ASGI application; uvicorn must serve it directly.
        org: the org's records and settings.
        tokens: the valid access tokens.
        pace: the time that bulk jobs take.
        ingest: the ingest jobs.
        metadata: the components that were created by the Metadata API.
        login: the token endpoint; its attributes decide who may log in (`login.clients`, `login.jwt_public_key`, ...).
        actions: the supported fault actions.
    """

    actions = ACTIONS

    def __init__(self, clock: SimClock, faults: Faults, organization_id: str | None = None) -> None:
        self.org = Org(clock, organization_id)
        self.tokens = Tokens(clock.now, self.org.organization_id)
        self.login = TokenEndpoint(self.tokens, clock.now, (self.org.organization_id, self.org.user_id))
        self.pace = Pace()
        ids = IdSequence("750")
        self.ingest = Ingest(self.org, faults, ids, self.pace)
        self.metadata = Metadata(self.org, self.tokens)
        query_jobs = QueryJobs(self.org, faults, ids, self.pace)
        for jobs in (self.ingest, query_jobs):
            self.org.guard.before_entry(jobs.settle)
        self._gate = Gate(self.org, self.tokens, faults, VERSIONS, self.ingest.notices)
        operations = [
            *self.login.operations(),
            *Reading(self.org, VERSIONS).operations(),
            *self.metadata.operations(),
            *Writing(self.org).operations(),
            *self.ingest.operations(),
            *query_jobs.operations(),
        ]
        routes = [self._route(operation) for operation in operations]
        self.app = _App(Starlette(routes=routes, exception_handlers={HTTPException: _no_route}))

    @property
    def requests(self) -> RequestCounts:
        """The number of requests by operation; `requests.clear()` resets the counts and the log."""
        return self._gate.requests

    @property
    def log(self) -> list[tuple[str, int, int]]:
        """(operation, HTTP status or 0 for a cut connection, rows) of each request, in the order of the answers."""
        return self._gate.requests.log

    @property
    def clients(self) -> dict[str, str]:
        """Consumer key -> consumer secret of the apps that may use client credentials."""
        return self.login.clients

    @property
    def instance_url(self) -> str | None:
        """The `instance_url` of the token answer; None for the address that the request was sent to."""
        return self.login.instance_url

    @instance_url.setter
    def instance_url(self, url: str | None) -> None:
        self.login.instance_url = url

    @property
    def token_seconds(self) -> float:
        """The lifetime of an access token, in simulated seconds."""
        return self.tokens.token_seconds

    @token_seconds.setter
    def token_seconds(self, seconds: float) -> None:
        self.tokens.token_seconds = seconds

    def accept_token(self, token: str) -> None:
        """Accept a token that was issued elsewhere."""
        with self.org.guard:
            self.tokens.accept(token)

    def expire_tokens(self) -> None:
        """Invalidate all access tokens."""
        with self.org.guard:
            self.tokens.drop_all()

    def _route(self, operation: Operation) -> Route:
        path = f"/services/data/v{{version}}{operation.path}" if operation.versioned else operation.path
        return Route(path, self._endpoint(operation), methods=[operation.method])

    def _endpoint(self, operation: Operation) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            return oversized(request) or await self._gate.serve(operation, request)

        return endpoint


class _App:
    """Prepares requests for the routes: removes a slash at the end of the path, adds the way to cut the connection."""

    def __init__(self, routed: ASGIApp) -> None:
        self._routed = routed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = {**scope, "path": scope["path"].rstrip("/")}
            ensure_hang_up(scope, send)
        await self._routed(scope, receive, send)


async def _no_route(request: Request, error: Exception) -> Response:
    """The answer for a path or method without an operation; if Salesforce has one, the answer is SIMULATOR_LIMIT."""
    wrong_method = isinstance(error, HTTPException) and error.status_code == 405
    below = _VERSIONED.fullmatch(request.url.path)
    if below is not None and below[1] in (_WRITABLE if wrong_method else _RESOURCES):
        return error_response(simulator_limit(f"{request.method} {request.url.path}"))
    if isinstance(error, HTTPException) and wrong_method:
        allowed = (error.headers or {}).get("Allow", "")
        words = f"HTTP Method '{request.method}' not allowed. Allowed are {allowed.replace(' ', '')}"
        return error_response(ApiError(405, "METHOD_NOT_ALLOWED", words))
    return error_response(not_found())
