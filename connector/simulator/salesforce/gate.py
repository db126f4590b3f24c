"""The gate for all requests of all operations: admission, faults and counting.

The order is: an armed fault that spoils the request before its effect; size, version, token, daily allowance; the
effect; an armed fault that spoils the answer. So requests with `drop_after`, `truncated` or `delay` take effect.

Actions (operation names are those of the routes, `*` is any; `subject` is a record id, or the client id of `token`):

    drop_before   connection closed, nothing done
    drop_after    done, connection closed without an answer
    status        params status (500), errorCode, message, retry_after in seconds; `after_effect` true: done first
    html          params status (503), `after_effect`: an HTML page as a load balancer sends
    truncated     done; the JSON stops in the middle, in a complete HTTP message
    cut_body      done; the connection closes in the middle of the body
    delay         done; the answer waits `seconds` REAL seconds
    expire_token  401, and the token is invalid from now on; nothing done
    row_error     params code, message, fields, or errors (a list of these three): this record of a write fails with
                  them; without `subject` every record
    row_rule      the same for each row that sends one of `when_fields` (any row without them) and none of
                  `unless_fields`; `times` counts rows
    governor_limit  params rows (100), reason (a name in `rules.GOVERNOR_LIMITS`, or the text), code, object: a
                  Collections update with more rows fails in every row; `times` counts calls
    job_failed    a bulk job (operation `ingest_job` or `query_job`) fails after half of its rows; params message
    job_aborted   an admin aborts it then
    job_stuck     it never leaves InProgress
    body, drip, gzip_bomb, redirect: see `hostile.py`

Faults of single rows of ingest jobs name the operation `ingest_rows`; they are taken when the rows are processed.
"""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from connector.simulator.dropping import Dropped
from connector.simulator.faults import JOB_ACTIONS, STANDING_ACTIONS, Fault, Faults
from connector.simulator.hostile import EDGE_ACTIONS, edge_answer, without_effect
from connector.simulator.salesforce.auth import Tokens
from connector.simulator.salesforce.counting import DROPPED, RequestCounts
from connector.simulator.salesforce.drop import CutBody
from connector.simulator.salesforce.errors import ApiError, Problem, RecordError, not_found
from connector.simulator.salesforce.exchange import Answer, Call, Operation
from connector.simulator.salesforce.ids import parse_id
from connector.simulator.salesforce.org import Org
from connector.simulator.salesforce.packing import packed
from connector.simulator.salesforce.rules import StandingFaults, problems_of

SITE = "salesforce"
MAX_URI_AND_HEADERS = 16_384
_BEFORE = frozenset({"drop_before", "status", "html", "expire_token"})
_AFTER = frozenset({"drop_after", "status", "html", "truncated", "cut_body", "delay"}) | EDGE_ACTIONS
ACTIONS = _BEFORE | _AFTER | STANDING_ACTIONS | JOB_ACTIONS | {"row_error"}
_CSV = "text/csv;charset=UTF-8"
_XML = "text/xml;charset=UTF-8"
_JSON = "application/json;charset=UTF-8"


class Gate:
    """Serves operations.

    Args:
        org: the org.
        tokens: the valid access tokens.
        faults: the armed faults.
        versions: the supported API versions; versions before the first one are retired.
        saved: gives the (object, id) of each record that bulk jobs saved since its last call.

    Attributes:
        requests: the counts of requests.
    """

    def __init__(
        self,
        org: Org,
        tokens: Tokens,
        faults: Faults,
        versions: Iterable[str],
        saved: Callable[[], list[tuple[str, str]]],
    ) -> None:
        self.requests = RequestCounts()
        self._org = org
        self._tokens = tokens
        self._faults = faults
        self._versions = tuple(versions)
        self._saved = saved

    async def serve(self, operation: Operation, request: Request) -> Response:
        """Answer one request."""
        self.requests[operation.name] += 1
        call = _call(request, await request.body())
        fault, row_errors = self._armed(operation, call)
        rows = 0
        if fault is not None and _is_before(fault):
            response = self._spoiled_before(fault, operation, call)
        else:
            standing = StandingFaults(self._faults, SITE, operation.name)
            answer = self._effect(operation, replace(call, row_errors=row_errors, standing=standing))
            rows = answer.rows
            await self._notify(replace(answer, updated=(*answer.updated, *self._saved())))
            response = await self._spoiled_after(fault, operation, self._reply(operation, answer))
            response = packed(response, request)
        status = DROPPED if isinstance(response, Dropped | CutBody) else response.status_code
        self.requests.log.append((operation.name, status, rows))
        return response

    def _effect(self, operation: Operation, call: Call) -> Answer:
        with self._org.guard:
            try:
                token = self._admit(operation, call)
                return operation.handle(replace(call, token=token))
            except ApiError as error:
                return Answer([error.problem.as_error()], error.status)
            except RecordError as error:
                return Answer([problem.as_error() for problem in error.problems], error.status)

    def _admit(self, operation: Operation, call: Call) -> str:
        """Check size, version and token, and count the request; returns the access token."""
        if operation.versioned:
            self._check_version(call.version)
        if not operation.guarded:
            return ""
        token = _bearer(call)
        if not self._tokens.good(token):
            raise ApiError(401, "INVALID_SESSION_ID", "Session expired or invalid")
        if not self._org.usage.take():
            raise ApiError(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
        return token

    def _check_version(self, version: str) -> None:
        """Refuse retired versions with 410: GONE (REST guide, "API End-of-Life Policy"; the body is unrecorded)."""
        if version in self._versions:
            return
        whole, _, part = version.partition(".")
        if part == "0" and whole.isdigit() and float(version) < float(self._versions[0]):
            raise ApiError(410, "GONE", "The requested resource has been retired or removed.")
        raise not_found()

    async def _notify(self, answer: Answer) -> None:
        """Notify the watchers outside the event loop and without a lock, so that they may change the org."""
        if self._org.watchers(reads=True) or self._org.watchers(reads=False):
            await run_in_threadpool(self._tell, answer)

    def _tell(self, answer: Answer) -> None:
        for pairs, reads in ((answer.read, True), (answer.updated, False)):
            for watcher in self._org.watchers(reads=reads):
                for object_name, record_id in pairs:
                    watcher(object_name, record_id)

    def _reply(self, operation: Operation, answer: Answer) -> Response:
        headers = dict(answer.headers)
        if operation.guarded and answer.status != 401:
            headers["Sforce-Limit-Info"] = f"api-usage={self._org.daily_used}/{self._org.daily_limit}"
        if answer.text is not None:
            return Response(answer.text, answer.status, headers, media_type=_CSV)
        if answer.xml is not None:
            return Response(answer.xml, answer.status, headers, media_type=_XML)
        if answer.body is None:
            return Response(status_code=answer.status, headers=headers)
        return _json_response(answer.body, answer.status, headers)

    def _armed(self, operation: Operation, call: Call) -> tuple[Fault | None, dict[str, tuple[Problem, ...]]]:
        """The fault for the whole request, and the errors of single records.

        One request takes one fault, plus one `row_error` for each further record that has one armed.
        """
        try:
            subjects = operation.subjects(call)
        except ApiError:
            subjects = frozenset()
        group = "data" if operation.guarded else ""
        fault = self._faults.take(SITE, operation.name, subjects, group)
        row_errors: dict[str, tuple[Problem, ...]] = {}
        while fault is not None and fault.action == "row_error":
            subject = parse_id(fault.subject) or "*"
            row_errors[subject] = problems_of(fault)
            subjects = frozenset() if subject == "*" else subjects - {subject, subject[:15]}
            fault = self._next_row_fault(operation, subjects)
        return fault, row_errors

    def _next_row_fault(self, operation: Operation, subjects: frozenset[str]) -> Fault | None:
        waiting = [f for f in self._faults.armed() if f.action == "row_error" and f.subject in subjects]
        return self._faults.take(SITE, operation.name, subjects) if waiting else None

    def _spoiled_before(self, fault: Fault, operation: Operation, call: Call) -> Response:
        if fault.action == "drop_before":
            return Dropped()
        if fault.action == "expire_token":
            self._tokens.drop(_bearer(call))
            return _json_response([Problem("INVALID_SESSION_ID", "Session expired or invalid").as_error()], 401, {})
        return edge_answer(fault, b"", 200) or _error_page(fault, operation)

    async def _spoiled_after(self, fault: Fault | None, operation: Operation, response: Response) -> Response:
        if fault is None:
            return response
        if fault.action not in _AFTER:
            raise ValueError(f"the Salesforce site knows no fault {fault.action!r}")
        if fault.action == "drop_after":
            return Dropped()
        if fault.action == "cut_body":
            return CutBody(response)
        if fault.action == "truncated":
            half = bytes(response.body[: len(response.body) // 2])
            return Response(half, response.status_code, media_type=response.headers.get("content-type", _JSON))
        if fault.action == "delay":
            await asyncio.sleep(_number(fault.params.get("seconds"), 1.0))
            return response
        return edge_answer(fault, bytes(response.body), response.status_code) or _error_page(fault, operation)


def _is_before(fault: Fault) -> bool:
    if fault.action in EDGE_ACTIONS:
        return without_effect(fault)
    return fault.action in _BEFORE and not fault.params.get("after_effect")


def oversized(request: Request) -> Response | None:
    """The refusal of a request whose URI, or URI and headers together, exceed 16,384 bytes; None if they do not."""
    uri = len(request.scope["raw_path"]) + len(request.scope["query_string"]) + 1
    headers = sum(len(name) + len(value) + 4 for name, value in request.scope["headers"])
    if uri > MAX_URI_AND_HEADERS:
        return _html(414, "URI Too Long")
    if uri + headers > MAX_URI_AND_HEADERS:
        return _html(431, "Request Header Fields Too Large")
    return None


def error_response(error: ApiError) -> Response:
    """A refusal by the site itself, outside of any operation."""
    return _json_response([error.problem.as_error()], error.status, {})


def _call(request: Request, body: bytes) -> Call:
    path = {name: str(value) for name, value in request.path_params.items()}
    return Call(
        version=path.pop("version", ""),
        path=path,
        params=dict(request.query_params),
        headers=dict(request.headers),
        body=body,
    )


def _bearer(call: Call) -> str:
    scheme, _, token = call.headers.get("authorization", "").partition(" ")
    return token if scheme.lower() in ("bearer", "oauth") else ""


def _json_response(body: object, status: int, headers: Mapping[str, str]) -> Response:
    return Response(json.dumps(body, ensure_ascii=False), status, dict(headers), media_type=_JSON)


def _error_page(fault: Fault, operation: Operation) -> Response:
    params = fault.params
    if fault.action == "html":
        return _html(int(_number(params.get("status"), 503)), "Service Unavailable")
    code = str(params.get("errorCode", "UNKNOWN_EXCEPTION"))
    message = str(
        params.get("message", "An unexpected error occurred. Please include this ErrorId if you contact support")
    )
    retry_after = params.get("retry_after")
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    body: object = [Problem(code, message).as_error()]
    if operation.name == "token":
        body = {"error": code, "error_description": message}
    return _json_response(body, int(_number(params.get("status"), 500)), headers)


def _html(status: int, title: str) -> Response:
    page = f"<!DOCTYPE html><html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return Response(page, status, media_type="text/html")


def _number(value: object, default: float) -> float:
    return float(value) if isinstance(value, int | float) else default
