"""The values between the HTTP layer and the routes: calls, answers and operations.

An operation is plain data, so another part of the API (such as Bulk 2.0) is one more module with a list of them.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from connector.simulator.salesforce.errors import Problem, unreadable_json
from connector.simulator.salesforce.ids import both_forms
from connector.simulator.salesforce.rules import StandingFaults


@dataclass(frozen=True)
class Call:
    """One request to a route.

    Attributes:
        version: API version in the path, such as `59.0`; empty outside of `/services/data/vXX.X`.
        path: the variable parts of the path.
        params: the query string.
        headers: names in lower case.
        body: the raw body.
        token: the access token, already checked; empty if none is needed.
        row_errors: record id -> the errors with which an armed fault replaces its update; `*` for every record.
        standing: the armed faults that apply to each row of a write.
    """

    version: str
    path: Mapping[str, str]
    params: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    token: str = ""
    row_errors: Mapping[str, tuple[Problem, ...]] = field(default_factory=dict)
    standing: StandingFaults = field(default_factory=StandingFaults)

    def json_object(self) -> dict[str, object]:
        """The body as a JSON object.

        Raises:
            ApiError: the body is not a JSON object.
        """
        try:
            parsed = json.loads(self.body)
        except ValueError as error:
            raise unreadable_json("Unexpected character or end of input") from error
        if not isinstance(parsed, dict):
            raise unreadable_json("The HTTP entity body is required to be a JSON object")
        return parsed

    def row_error(self, record_id: str) -> tuple[Problem, ...]:
        """The errors of an armed fault for this record; usually empty."""
        return self.row_errors.get(record_id) or self.row_errors.get("*") or ()


@dataclass(frozen=True)
class Answer:
    """The answer of a route.

    Attributes:
        body: sent as JSON; None for an empty body.
        text: sent as CSV instead of a JSON body.
        xml: sent as XML instead of a JSON body.
        status: HTTP status.
        headers: additional headers.
        rows: the number of records read, or sent to be saved.
        read: (object, id) of each record read.
        updated: (object, id) of each record saved by an update.
    """

    body: object = None
    status: int = 200
    text: str | None = field(default=None, kw_only=True)
    xml: str | None = field(default=None, kw_only=True)
    headers: Mapping[str, str] = field(default_factory=dict)
    rows: int = 0
    read: tuple[tuple[str, str], ...] = ()
    updated: tuple[tuple[str, str], ...] = ()


def no_subjects(_call: Call) -> frozenset[str]:
    """Return no subjects, for operations that do not concern particular records."""
    return frozenset()


def subjects_of(record_ids: list[object]) -> frozenset[str]:
    """Record ids in both forms, so that a fault may name either."""
    texts = [record_id for record_id in record_ids if isinstance(record_id, str)]
    return frozenset().union(*(both_forms(text) for text in texts))


@dataclass(frozen=True)
class Operation:
    """One route of the API.

    Attributes:
        name: its name in faults and counters.
        method: HTTP method.
        path: template below the version, or below the host if `versioned` is False.
        handle: produces the answer; may raise ApiError or RecordError.
        subjects: the record ids in the request, for faults.
        versioned: whether it is below `/services/data/vXX.X`.
        guarded: whether it needs an access token and costs one API request.
    """

    name: str
    method: str
    path: str
    handle: Callable[[Call], Answer]
    subjects: Callable[[Call], frozenset[str]] = no_subjects
    versioned: bool = True
    guarded: bool = True
