"""The routes that read: resources, limits, describe, query, retrieve."""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime

from connector.simulator.salesforce.describe import describe, record_type_info, summary
from connector.simulator.salesforce.errors import (
    ApiError,
    RecordError,
    not_found,
    refuse_unsimulated_object,
    simulator_limit,
)
from connector.simulator.salesforce.exchange import Answer, Call, Operation, subjects_of
from connector.simulator.salesforce.ids import has_id_shape, parse_id
from connector.simulator.salesforce.org import Org
from connector.simulator.salesforce.query import Found, Locators, columns_of, page, rendered, run
from connector.simulator.salesforce.saving import ENTITY_IS_DELETED
from connector.simulator.salesforce.schema import Field, ObjectType, Record

MAX_RETRIEVED = 2_000
_PAGE_SIZES = (200, 2_000)
_OTHER_LIMITS = {
    "ConcurrentAsyncGetReportInstances": 200,
    "DailyAsyncApexExecutions": 250_000,
    "DailyBulkApiBatches": 15_000,
    "DailyBulkV2QueryJobs": 10_000,
    "DailyDurableStreamingApiEvents": 10_000,
    "DailyWorkflowEmails": 1_000,
    "DataStorageMB": 1_024,
    "FileStorageMB": 1_024,
    "HourlyODataCallout": 1_000,
    "HourlyTimeBasedWorkflow": 1_000,
    "MassEmail": 5_000,
    "SingleEmail": 5_000,
}


class Reading:
    """The read routes of one org.

    Args:
        org: the org.
        versions: the supported API versions, oldest first, such as `59.0`.
    """

    def __init__(self, org: Org, versions: Iterable[str]) -> None:
        self._org = org
        self._versions = tuple(versions)
        self._locators = Locators(org.clock.now)

    def operations(self) -> list[Operation]:
        """All read routes."""
        return [
            Operation("versions", "GET", "/services/data", self.versions, versioned=False, guarded=False),
            Operation("resources", "GET", "", self.resources),
            Operation("limits", "GET", "/limits", self.limits),
            Operation("describe_global", "GET", "/sobjects", self.describe_global),
            Operation("describe_basic", "GET", "/sobjects/{object}", self.describe_basic),
            Operation("describe", "GET", "/sobjects/{object}/describe", self.describe),
            Operation("retrieve_one", "GET", "/sobjects/{object}/{id}", self.retrieve_one, _path_id),
            Operation("query", "GET", "/query", self.query),
            Operation("query_all", "GET", "/queryAll", self.query_all),
            Operation("query_more", "GET", "/query/{locator}", self.query_more),
            Operation("query_more", "GET", "/queryAll/{locator}", self.query_more),
            Operation("retrieve_many", "POST", "/composite/sobjects/{object}", self.retrieve_many, _body_ids),
            Operation("retrieve_many", "GET", "/composite/sobjects/{object}", self.retrieve_listed, _listed_ids),
        ]

    def versions(self, _call: Call) -> Answer:
        """The supported API versions; needs no login."""
        listed = [{"label": f"Release {v}", "url": f"/services/data/v{v}", "version": v} for v in self._versions]
        return Answer(listed)

    def resources(self, call: Call) -> Answer:
        """The resources of one version."""
        names = ("sobjects", "query", "queryAll", "limits", "composite", "jobs")
        found = {name: f"/services/data/v{call.version}/{name}" for name in names}
        identity = f"https://login.salesforce.com/id/{self._org.organization_id}/{self._org.user_id}"
        return Answer(found | {"identity": identity})

    def limits(self, _call: Call) -> Answer:
        """Some of the limits of an Enterprise org. Only the API requests are counted."""
        usage = self._org.usage
        limits = {name: {"Max": most, "Remaining": most} for name, most in _OTHER_LIMITS.items()}
        limits["DailyApiRequests"] = {"Max": usage.limit, "Remaining": max(0, usage.limit - usage.used)}
        return Answer(dict(sorted(limits.items())))

    def describe_global(self, call: Call) -> Answer:
        """All objects."""
        objects = [summary(kind, call.version) for kind in self._org.kinds()]
        return Answer({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": objects})

    def describe_basic(self, call: Call) -> Answer:
        """One object, briefly."""
        return Answer({"objectDescribe": summary(self._kind(call), call.version), "recentItems": []})

    def describe(self, call: Call) -> Answer:
        """One object with its fields."""
        kind = self._kind(call)
        rows = self._org.records("RecordType")
        types = [record_type_info(kind, call.version, dict(row)) for row in rows if row["SobjectType"] == kind.name]
        return Answer(describe(kind, call.version, types))

    def retrieve_one(self, call: Call) -> Answer:
        """One record, with the requested fields or all that the user may read."""
        kind = self._kind(call)
        row = find_row(self._org, kind, call.path["id"])
        wanted = call.params.get("fields")
        fields = kind.readable_fields() if wanted is None else _fields(kind, wanted.split(","))
        body = rendered(self._org, kind, columns_of(fields), row, call.version)
        return Answer(body, headers=_validators(row, body), rows=1, read=((kind.name, str(row["Id"])),))

    def retrieve_many(self, call: Call) -> Answer:
        """Up to 2,000 records by id, in the requested order; null for each that is missing, deleted or not an id."""
        body = call.json_object()
        return self._retrieve(call, _texts(body, "ids"), _texts(body, "fields"))

    def retrieve_listed(self, call: Call) -> Answer:
        """Like `retrieve_many`, with both lists in the query string."""
        ids, fields = (call.params.get(name, "") for name in ("ids", "fields"))
        for name, text in (("ids", ids), ("fields", fields)):
            if not text:
                raise ApiError(400, "INVALID_ARGUMENT", f"{name}: a list of one or more strings is required")
        return self._retrieve(call, ids.split(","), fields.split(","))

    def _retrieve(self, call: Call, ids: list[str], names: list[str]) -> Answer:
        kind = self._kind(call)
        columns = columns_of(_fields(kind, names))
        if len(ids) > MAX_RETRIEVED:
            words = f"record limit reached. cannot submit more than {MAX_RETRIEVED} records into this call"
            raise ApiError(400, "EXCEEDED_ID_LIMIT", words)
        rows = [self._live_row(kind, record_id.strip()) for record_id in ids]
        records = [None if row is None else rendered(self._org, kind, columns, row, call.version) for row in rows]
        read = tuple((kind.name, str(row["Id"])) for row in rows if row is not None)
        return Answer(records, rows=len(read), read=read)

    def query(self, call: Call) -> Answer:
        """The first page of a query."""
        return self._query(call, "query")

    def query_all(self, call: Call) -> Answer:
        """The first page of a query that also finds deleted and merged records."""
        return self._query(call, "queryAll")

    def query_more(self, call: Call) -> Answer:
        """A further page."""
        locator, _, start = call.path["locator"].rpartition("-")
        found = self._locators.find(locator, call.token)
        if not start.isdigit() or int(start) > found.total:
            raise ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        return self._page(call, "query", found, locator, int(start))

    def _query(self, call: Call, resource: str) -> Answer:
        text = call.params.get("q")
        if text is None:
            raise ApiError(400, "MALFORMED_QUERY", "A query string has to be specified")
        found = run(self._org, text, include_deleted=resource == "queryAll")
        locator = self._locators.open(found, call.token) if len(found.rows) > _page_size(call) else ""
        return self._page(call, resource, found, locator, 0)

    def _page(self, call: Call, resource: str, found: Found, locator: str, start: int) -> Answer:
        rows = page(found, start, _page_size(call))
        end = start + len(rows)
        body: dict[str, object] = {"totalSize": found.total, "done": end >= len(found.rows)}
        if end < len(found.rows):
            body["nextRecordsUrl"] = f"/services/data/v{call.version}/{resource}/{locator}-{end}"
        body["records"] = [rendered(self._org, found.kind, found.columns, row, call.version) for row in rows]
        read = tuple((found.kind.name, str(row["Id"])) for row in rows)
        return Answer(body, rows=len(rows), read=read)

    def _kind(self, call: Call) -> ObjectType:
        return path_kind(self._org, call)

    def _live_row(self, kind: ObjectType, raw_id: str) -> Record | None:
        record_id = parse_id(raw_id)
        row = None if record_id is None else self._org.row(kind, record_id)
        return None if row is None or row["IsDeleted"] else row


def path_kind(org: Org, call: Call) -> ObjectType:
    """The object that the path names.

    Raises:
        ApiError: 404, there is no such object.
    """
    kind = org.find_kind(call.path["object"])
    if kind is None:
        refuse_unsimulated_object(call.path["object"])
        raise not_found()
    return kind


def find_row(org: Org, kind: ObjectType, raw_id: str) -> Record:
    """The live record that the path names.

    Raises:
        ApiError: the text is not an id, or there is no such record.
        RecordError: the record is deleted; the status is 404 too.
    """
    if not has_id_shape(raw_id):
        words = f"Provided external ID field does not exist or is not accessible: {raw_id}"
        raise ApiError(404, "NOT_FOUND", words)
    record_id = parse_id(raw_id)
    if record_id is None:
        raise ApiError(400, "MALFORMED_ID", f"malformed id {raw_id}")
    row = org.row(kind, record_id)
    if row is None:
        raise not_found()
    if row["IsDeleted"]:
        raise RecordError(ENTITY_IS_DELETED, status=404)
    return row


def _page_size(call: Call) -> int:
    """Rows per page from `Sforce-Query-Options: batchSize=n`, limited to 200 to 2,000; 2,000 without it."""
    name, _, size = call.headers.get("sforce-query-options", "").partition("=")
    if name.strip().lower() != "batchsize" or not size.strip().isdigit():
        return _PAGE_SIZES[1]
    return min(max(int(size), _PAGE_SIZES[0]), _PAGE_SIZES[1])


def _fields(kind: ObjectType, wanted: list[str]) -> list[Field]:
    """The fields of these names; Id is always included, as in retrieve."""
    fields: dict[str, Field] = {}
    for name in wanted:
        if "." in name:
            raise simulator_limit("relationship fields in a retrieve request")
        field = kind.readable(name.strip())
        if field is None:
            raise ApiError(400, "INVALID_FIELD", f"No such column '{name}' on sobject of type {kind.name}")
        fields[field.name] = field
    return list({**fields, "Id": kind.need("Id")}.values())


def _validators(row: Record, body: object) -> dict[str, str]:
    """The headers `Last-Modified` and `ETag` of a record's GET."""
    modified = datetime.strptime(str(row["LastModifiedDate"]), "%Y-%m-%dT%H:%M:%S.000%z")
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).digest()
    return {"Last-Modified": format_datetime(modified.astimezone(UTC), usegmt=True), "ETag": f'"{_base64(digest)}"'}


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _texts(body: Mapping[str, object], key: str) -> list[str]:
    values = body.get(key)
    if not isinstance(values, list) or not values or not all(isinstance(value, str) for value in values):
        raise ApiError(400, "INVALID_ARGUMENT", f"{key}: a list of one or more strings is required")
    return values


def _path_id(call: Call) -> frozenset[str]:
    return subjects_of([call.path["id"]])


def _listed_ids(call: Call) -> frozenset[str]:
    return subjects_of(list(call.params.get("ids", "").split(",")))


def _body_ids(call: Call) -> frozenset[str]:
    ids = call.json_object().get("ids")
    return subjects_of(ids if isinstance(ids, list) else [])
