"""What passes between the HTTP side and the routes: a call, its answer, and the operations that exist.

An operation is plain data, so a further part of the API (Bulk 2.0, say) is one more module with a list of them.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from connector.simulator.salesforce.errors import Problem, unreadable_json
from connector.simulator.salesforce.ids import both_forms
from connector.simulator.salesforce.rules import StandingFaults


@dataclass(frozen=True)
class Call:
    """One request, as a route sees it.

    Attributes:
        version: API version in the path, such as `59.0`; empty outside of `/services/data/vXX.X`.
        path: the parts of the path that vary.
        params: the query string.
        headers: names in small letters.
        body: the raw body.
        token: the access token, checked already; empty where none is needed.
        row_errors: record id -> the errors that an armed fault puts in the place of its update; `*` for every record.
        standing: the armed faults that look at each row of a write.
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
            ApiError: it is none.
        """
        try:
            parsed = json.loads(self.body)
        except ValueError as error:
            raise unreadable_json("Unexpected character or end of input") from error
        if not isinstance(parsed, dict):
            raise unreadable_json("The HTTP entity body is required to be a JSON object")
        return parsed

    def row_error(self, record_id: str) -> tuple[Problem, ...]:
        """The errors an armed fault has for this record; empty for most."""
        return self.row_errors.get(record_id) or self.row_errors.get("*") or ()


@dataclass(frozen=True)
class Answer:
    """What a route answers.

    Attributes:
        body: to be sent as JSON; None for an empty body.
        status: HTTP status.
        headers: further headers.
        rows: records read, or records sent to be saved.
        read: (object, id) of each record read.
        updated: (object, id) of each record saved by an update.
    """

    body: object = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    rows: int = 0
    read: tuple[tuple[str, str], ...] = ()
    updated: tuple[tuple[str, str], ...] = ()


def no_subjects(_call: Call) -> frozenset[str]:
    """For operations that are about no record in particular."""
    return frozenset()


def subjects_of(record_ids: list[object]) -> frozenset[str]:
    """Record ids in both forms, so that a fault may name either."""
    texts = [record_id for record_id in record_ids if isinstance(record_id, str)]
    return frozenset().union(*(both_forms(text) for text in texts))


@dataclass(frozen=True)
class Operation:
    """One route of the API.

    Attributes:
        name: what faults and counters call it.
        method: HTTP method.
        path: template below the version, or below the host when `versioned` is False.
        handle: makes the answer; may raise ApiError or RecordError.
        subjects: the record ids the request is about, for faults.
        versioned: whether it lies below `/services/data/vXX.X`.
        guarded: whether it needs an access token and costs one API request.
    """

    name: str
    method: str
    path: str
    handle: Callable[[Call], Answer]
    subjects: Callable[[Call], frozenset[str]] = no_subjects
    versioned: bool = True
    guarded: bool = True
