"""The routes that write: one record, a new record, and Collections (up to 200 records per call).

Collections behave as documented ("Update Records Using sObject Collections") and recorded. A well-formed request is
answered 200, whatever the results of its records. Results are in the order of the records, and a failed one has no id.
Consecutive records of one type form a chunk, and a call has at most ten chunks. An empty list and a list that is too
long are refused as a whole. An id that occurs twice in one call fails each time with DUPLICATE_VALUE, "Duplicate id
specified" (Help article 000384876 for the text; the code is that of "Duplicate external id specified").
"""

import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from connector.simulator.salesforce.errors import ApiError, Problem, RecordError
from connector.simulator.salesforce.exchange import Answer, Call, Operation, subjects_of
from connector.simulator.salesforce.org import Org
from connector.simulator.salesforce.reading import find_row, path_kind
from connector.simulator.salesforce.row_checks import Outcome, RowChecks, repeated_ids
from connector.simulator.salesforce.saving import Pending, check_update, create, save
from connector.simulator.salesforce.schema import ObjectType, Record

MAX_RECORDS = 200
MAX_CHUNKS = 10
_ROLLED_BACK = Problem(
    "ALL_OR_NONE_OPERATION_ROLLED_BACK",
    "Record rolled back because not all records were valid and the request was using AllOrNone header",
    (),
)
_WITHOUT_ATTRIBUTES = Problem(
    "JSON_PARSER_ERROR",
    "Nested object for polymorphic foreign key must have an attributes field before any other fields.",
    (),
)


class Writing:
    """The write routes of one org.

    Args:
        org: the org.
    """

    def __init__(self, org: Org) -> None:
        self._org = org
        self._rows = RowChecks(org)

    def operations(self) -> list[Operation]:
        """All write routes."""
        return [
            Operation("create_one", "POST", "/sobjects/{object}", self.create_one),
            Operation("update_one", "PATCH", "/sobjects/{object}/{id}", self.update_one, _path_id),
            Operation("update_many", "PATCH", "/composite/sobjects", self.update_many, _record_ids),
        ]

    def create_one(self, call: Call) -> Answer:
        """Create a record."""
        kind = path_kind(self._org, call)
        sent = _without_attributes(call.json_object())
        record_id = create(self._org, kind, sent, assign=_assigns(call))
        headers = {"Location": f"/services/data/v{call.version}/sobjects/{kind.name}/{record_id}"}
        return Answer({"id": record_id, "success": True, "errors": []}, 201, headers, rows=1)

    def update_one(self, call: Call) -> Answer:
        """Update a record, if it is unmodified since the time that the caller gives."""
        kind = path_kind(self._org, call)
        sent = _without_attributes(call.json_object())
        if any(name.lower() == "id" for name in sent):
            raise ApiError(400, "INVALID_FIELD", "The Id field should not be specified in the sobject data.")
        row = find_row(self._org, kind, call.path["id"])
        _refuse_if_modified(call, row)
        record_id = str(row["Id"])
        problems = call.row_error(record_id) or self._rows.overload(call, kind, 1)
        if problems:
            raise RecordError(*problems)
        rules = call.standing.rules_for(record_id)
        save(self._org, check_update(self._org, kind, record_id, sent, assign=_assigns(call), rules=rules))
        return Answer(None, 204, rows=1, updated=((kind.name, record_id),))

    def update_many(self, call: Call) -> Answer:
        """Update several records (Collections)."""
        body = call.json_object()
        records = _records(body)
        kinds = [self._kind_of(record) for record in records]
        _refuse_many_chunks(kinds)
        repeated = repeated_ids(map(_id_of, records))
        overloads = {
            kind: () if kind is None else self._rows.overload(call, kind, kinds.count(kind)) for kind in set(kinds)
        }
        outcomes = [
            self._check(call, kind, record, repeated, overloads[kind])
            for kind, record in zip(kinds, records, strict=True)
        ]
        if _flag(body, "allOrNone") and any(isinstance(outcome, RecordError) for outcome in outcomes):
            outcomes = [o if isinstance(o, RecordError) else RecordError(_ROLLED_BACK) for o in outcomes]
        saved = [outcome for outcome in outcomes if isinstance(outcome, Pending)]
        for update in saved:
            save(self._org, update)
        updated = tuple((update.kind.name, update.record_id) for update in saved)
        return Answer([_result(outcome) for outcome in outcomes], rows=len(records), updated=updated)

    def _kind_of(self, record: Mapping[str, object]) -> ObjectType | None:
        attributes = record.get("attributes")
        if attributes is None:
            return None
        name = attributes.get("type") if isinstance(attributes, dict) else None
        if not isinstance(name, str):
            raise ApiError(400, "INVALID_TYPE", "Must send a concrete entity type.")
        kind = self._org.find_kind(name)
        if kind is None:
            raise ApiError(400, "INVALID_TYPE", f"sObject type '{name}' is not supported.")
        return kind

    def _check(
        self,
        call: Call,
        kind: ObjectType | None,
        record: Mapping[str, object],
        repeated: frozenset[str],
        overload: tuple[Problem, ...],
    ) -> Outcome:
        if kind is None:
            return RecordError(_WITHOUT_ATTRIBUTES)
        sent = {name: value for name, value in _without_attributes(record).items() if name.lower() != "id"}
        return self._rows.check(
            call, kind, _id_of(record), sent, assign=_assigns(call), repeated=repeated, overload=overload
        )


def _assigns(call: Call) -> bool:
    """Whether assignment rules run: always, unless the header is FALSE (REST guide, "Assignment Rule Header")."""
    return call.headers.get("sforce-auto-assign", "TRUE").strip().upper() != "FALSE"


def _refuse_if_modified(call: Call, row: Record) -> None:
    """Apply `If-Unmodified-Since`, which is compared with whole seconds of the record's last modified date."""
    header = call.headers.get("if-unmodified-since")
    if header is None:
        return
    try:
        since = parsedate_to_datetime(header)
    except ValueError as error:
        raise ApiError(400, "INVALID_HEADER", f"If-Unmodified-Since is no HTTP date: {header}") from error
    modified = datetime.strptime(str(row["LastModifiedDate"]), "%Y-%m-%dT%H:%M:%S.000%z")
    if modified > (since if since.tzinfo else since.replace(tzinfo=UTC)):
        words = "One or more of the preconditions specified in the request headers were not met"
        raise ApiError(412, "PRECONDITION_FAILED", words)


def _records(body: Mapping[str, object]) -> list[dict[str, object]]:
    records = body.get("records")
    if not isinstance(records, list) or not records:
        raise ApiError(400, "REQUIRED_FIELD_MISSING", "At least 1 record is required")
    if len(records) > MAX_RECORDS:
        words = f"record limit reached. cannot submit more than {MAX_RECORDS} records into this call"
        raise ApiError(400, "EXCEEDED_ID_LIMIT", words)
    if not all(isinstance(record, dict) for record in records):
        raise ApiError(400, "JSON_PARSER_ERROR", "records must be a list of objects")
    return records


def _refuse_many_chunks(kinds: Sequence[ObjectType | None]) -> None:
    chunks = 1 + sum(1 for before, after in itertools.pairwise(kinds) if before is not after)
    if chunks > MAX_CHUNKS:
        words = f"Cannot have more than {MAX_CHUNKS} chunks in a single operation. "
        raise ApiError(400, "LIMIT_EXCEEDED", words + "Please rearrange the data to reduce chunking.")


def _id_of(record: Mapping[str, object]) -> object:
    return next((value for name, value in record.items() if name.lower() == "id"), None)


def _without_attributes(record: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in record.items() if name != "attributes"}


def _flag(body: Mapping[str, object], name: str) -> bool:
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise ApiError(400, "JSON_PARSER_ERROR", f"Cannot deserialize instance of boolean from {name}")
    return value


def _result(outcome: Outcome) -> dict[str, object]:
    if isinstance(outcome, Pending):
        return {"id": outcome.record_id, "success": True, "errors": []}
    return {"success": False, "errors": [problem.as_result() for problem in outcome.problems]}


def _path_id(call: Call) -> frozenset[str]:
    return subjects_of([call.path["id"]])


def _record_ids(call: Call) -> frozenset[str]:
    records = call.json_object().get("records")
    if not isinstance(records, list):
        return frozenset()
    return subjects_of([_id_of(record) for record in records if isinstance(record, dict)])
