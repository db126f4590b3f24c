"""The CRM interface on Salesforce: describe, select, read by id, update in collections of 200.

Not used of simple-salesforce: `query_more` (a locator dies with its token), `sf.<Object>.update` (retries a 401 without
bound, takes no timeout). Results of a collection are matched by position, for failures carry no id.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from connector.core.errors import CrmRefusedError, DownError
from connector.core.mapping import MappingFile
from connector.core.model import CrmRecord, FieldValue
from connector.crm.interface import (
    Crm,
    ErrorClass,
    ObjectInfo,
    Problem,
    Rejection,
    Remark,
    RowError,
    Selection,
    Update,
    Usage,
    always,
)
from connector.crm.provisioning import Provisioner
from connector.crm.salesforce.bodies import (
    CollectionResult,
    CollectionRow,
    CollectionUpdate,
    Description,
    Limits,
    QueryPage,
    ReadByIds,
    RecordRow,
    RecordsById,
    RecordUpdate,
    Resources,
)
from connector.crm.salesforce.bulk import SalesforceBulk
from connector.crm.salesforce.checks import check_fields
from connector.crm.salesforce.client import Client
from connector.crm.salesforce.fields import fields_of
from connector.crm.salesforce.ids import ids_of_identity, to_18
from connector.crm.salesforce.names import LABEL, NAME
from connector.crm.salesforce.records import id_of, record_of
from connector.crm.salesforce.rejections import rejection
from connector.crm.salesforce.soql import IDS_PER_QUERY, PAGE, check_text, count_query, page_query

_FOLLOW = ("IsConverted", "ConvertedContactId")


class SalesforceCrm(Crm):
    """One org through one client."""

    name = NAME
    label = LABEL
    read_size = 2000
    write_size = 200

    def __init__(self, client: Client) -> None:
        self._client = client
        self._objects: dict[str, ObjectInfo] = {}
        self.bulk = SalesforceBulk(client, self.describe)

    def provisioner(self) -> Provisioner:
        """A source-format package, and the Metadata API."""
        from connector.crm.salesforce.provisioner import SalesforceProvisioner

        return SalesforceProvisioner(self, self._client)

    def written_time(self, moment: datetime) -> FieldValue:
        """In whole seconds of UTC: `2026-11-20T10:00:00.000+0000`."""
        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")

    def check(self, mapping: MappingFile) -> list[Problem]:
        """By the object's description, with the fix as Salesforce's set-up calls it."""
        return check_fields(self, mapping)

    def remarks(self, mappings: Sequence[MappingFile]) -> list[Remark]:
        """Login, org and user, clocks, rights beyond the need, loops."""
        from connector.crm.salesforce.remarks import remarks

        return list(remarks(self, self._client, self._identity(), mappings))

    def login(self) -> None:
        """Log in and read the daily quota; a user who may not read the limits has it from the headers of answers."""
        daily = Limits.read(self._client.optional("reading the limits", "limits/")).daily
        if daily.most is not None and daily.remaining is not None:
            self._client.note_quota(daily.most - daily.remaining, daily.most)
        self._client.check_quota()

    def org_id(self) -> str:
        """From the identity address in the version's resource list, which every API user may read."""
        return self._identity()[0]

    def _identity(self) -> tuple[str, str]:
        """The ids of the org and of this user."""
        answer = self._client.call("other", "reading the org's identity", "")
        return ids_of_identity(Resources.read(answer).identity)

    def describe(self, object_name: str, *, refresh: bool = False) -> ObjectInfo:
        """The fields that this user sees."""
        if refresh or object_name not in self._objects:
            answer = self._client.call("other", f"object {object_name}", f"sobjects/{object_name}/describe")
            found = Description.read(answer)
            if found.fields is None:
                raise DownError(f"Salesforce's description of {object_name} cannot be read; run again later")
            by_name = {field.name.lower(): field for field in fields_of(found.fields)}
            name = found.name or object_name
            self._objects[object_name] = ObjectInfo(
                name,
                by_name,
                found.key_prefix,
                updateable=found.updateable,
                createable=found.createable,
                deletable=found.deletable,
            )
        return self._objects[object_name]

    def check_condition(self, object_name: str, condition: str) -> None:
        """Ask Salesforce for one row under the condition."""
        check_text(condition)
        self._query(page_query(Selection(object_name, (), where=(condition,)), None, 1), "the condition", "other")

    def select(self, selection: Selection) -> Iterator[list[CrmRecord]]:
        """Pages of at most 2,000 records."""
        left = selection.limit
        parts = _parts(selection.ids, newest_first=selection.newest_first)
        for ids in parts:
            after: str | None = None
            while left is None or left > 0:
                size = PAGE if left is None else min(PAGE, left)
                rows, whole = self._query(page_query(selection, after, size, ids), "reading records", "read")
                if not rows:
                    if not whole:
                        raise DownError("Salesforce's page of records cannot be read; run again later")
                    break
                records = [record_of(row) for row in rows]
                if records[-1].id == after:
                    raise DownError("Salesforce repeats a page of records; run again later")
                yield records
                left = None if left is None else left - len(rows)
                after = records[-1].id
                if whole and len(rows) < size:
                    break

    def count(self, selection: Selection) -> int:
        """How many records match: one call, or one for every 300 ids."""
        total = 0
        for ids in _parts(selection.ids, newest_first=False):
            soql = count_query(selection, ids)
            found = QueryPage.read(self._client.call("other", "counting records", "query/", soql=soql)).total_size
            if found is None:
                raise DownError("Salesforce's answer to a count cannot be read; run again later")
            total += found
        return total if selection.limit is None else min(total, selection.limit)

    def full_id(self, record_id: str) -> str | None:
        """The 18-character form."""
        return to_18(record_id)

    def read(self, object_name: str, ids: Sequence[str], fields: Sequence[str]) -> dict[str, CrmRecord | None]:
        """Records by id in one call; the gone ones are followed to where they were merged."""
        info = self.describe(object_name)
        follow = [name for name in _FOLLOW if info.get(name)]
        names = list(dict.fromkeys(("Id", "SystemModstamp", *fields, *follow)))
        body = ReadByIds(ids=tuple(ids), fields=tuple(names))
        path = f"composite/sobjects/{object_name}"
        rows = RecordsById.read(self._client.call("read", "reading records by id", path, body=body)).rows
        if rows is None or len(rows) != len(ids):
            raise DownError("Salesforce's answer to a read by id cannot be read; run again later")
        found: dict[str, CrmRecord | None] = {
            record_id: None if row is None else record_of(row) for record_id, row in zip(ids, rows, strict=True)
        }
        gone = [record_id for record_id, record in found.items() if record is None]
        if gone and info.get("MasterRecordId"):
            found |= self._winners(object_name, gone)
        return found

    def _winners(self, object_name: str, gone: list[str]) -> dict[str, CrmRecord | None]:
        winners: dict[str, CrmRecord | None] = {}
        for ids in _parts(tuple(gone), newest_first=False):
            selection = Selection(object_name, ("IsDeleted", "MasterRecordId"))
            soql = page_query(selection, None, PAGE, ids)
            for row in self._query(soql, "following merged records", "read", "queryAll/")[0]:
                record = record_of(row)
                winner = id_of(row.get("MasterRecordId"))
                if winner is not None:
                    winners[record.id] = replace(record, moved_to=(object_name, winner))
        return winners

    def update(
        self, object_name: str, updates: Sequence[Update], may_leave: Callable[[], bool] = always
    ) -> list[Rejection | None]:
        """One collection of at most 200 records."""
        records = tuple(RecordUpdate(object=object_name, id=update.id, values=update.values) for update in updates)
        body = CollectionUpdate(records=records)
        try:
            answer = self._client.write("writing records", "composite/sobjects", body, may_leave)
        except CrmRefusedError as error:  # a value in one of the rows, perhaps: fewer rows a call show which
            return [Rejection(ErrorClass.AUTOMATION, (RowError(error.code),))] * len(updates)
        rows = CollectionResult.read(answer).rows
        if rows is None or len(rows) != len(updates):
            raise DownError("Salesforce's answer to a write cannot be read; run again, nothing is written twice")
        return [_outcome(row) for row in rows]

    def usage(self) -> Usage:
        """Requests so far."""
        return self._client.usage()

    def close(self) -> None:
        """Close idle connections."""
        self._client.close()

    def _query(self, soql: str, what: str, kind: str, path: str = "query/") -> tuple[list[RecordRow], bool]:
        """Rows, and whether they are all: wide rows come in fewer than the query asked for."""
        page = QueryPage.read(self._client.call(kind, what, path, soql=soql))
        if page.records is None:
            raise DownError(f"Salesforce's answer to {what} cannot be read; run again later")
        return page.records, page.done


def _outcome(row: CollectionRow) -> Rejection | None:
    return None if row.success else rejection(row.errors)


def _parts(ids: tuple[str, ...] | None, *, newest_first: bool) -> Iterator[tuple[str, ...] | None]:
    if ids is None:
        yield None
        return
    ordered = sorted(set(ids), reverse=newest_first)
    for start in range(0, len(ordered), IDS_PER_QUERY):
        yield tuple(ordered[start : start + IDS_PER_QUERY])
