"""The org: its records, and the actions of the people who work in it.

The methods for tests and seeding act as a person in the browser or an admin: they cost no API request, ignore the API
user's field-level security and run no validation rule. The rules for the API are in `saving.py`.

Stored records are never changed in place: an update replaces the dict, so that a caller's record stays unchanged.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from connector.simulator.clock import SimClock
from connector.simulator.salesforce.guard import Guard
from connector.simulator.salesforce.ids import ORGANIZATION_ID_15, IdSequence, parse_id, to_18
from connector.simulator.salesforce.rules import GovernorLimit, RowRule, duplicate_rule
from connector.simulator.salesforce.schema import Field, ObjectType, Record, Value
from connector.simulator.salesforce.standard import standard_objects
from connector.simulator.salesforce.table import IdSpan, Rule, Table
from connector.simulator.salesforce.usage import DailyUsage
from connector.simulator.salesforce.values import refuse_missing, stamp, store

Watcher = Callable[[str, str], None]
_CARRIED_BY_CONVERSION = (
    *("FirstName", "LastName", "Title", "Email", "Phone", "MobilePhone", "Fax"),
    *("HasOptedOutOfEmail", "DoNotCall", "OwnerId"),
)


@dataclass(frozen=True)
class Update:
    """One saved change of one record.

    Attributes:
        at: simulated Unix seconds.
        who: `api`, `person` or `system` (merge, conversion, deletion).
        changes: field -> (value before, value after); empty if the update changed nothing.
    """

    at: float
    who: str
    changes: Mapping[str, tuple[Value, Value]]


class Org:
    """One simulated Salesforce org.

    Args:
        clock: the simulated time; it dates every record and update.
        organization_id: the org's own id; by default the same at every start.

    Attributes:
        guard: hold this lock to read several records at the same moment.
        usage: the API requests of the last 24 hours.
        assignment_rule_owner: the user or queue of the active Lead assignment rule; None if no rule is active.
        can_edit_converted: whether the API user has "View and Edit Converted Leads".
        organization_id: the org's own id.
        user_id: the API user.
        owner_id: the person who owns new records.
    """

    def __init__(self, clock: SimClock, organization_id: str | None = None) -> None:
        self.clock = clock
        self.guard = Guard()
        self.usage = DailyUsage(clock.now)
        self.assignment_rule_owner: str | None = None
        self.can_edit_converted = False
        self.organization_id = organization_id or to_18(ORGANIZATION_ID_15)
        self.user_id = to_18("005Sm0000000001")
        self.owner_id = to_18("005Sm0000000002")
        self._tables = {kind.name.lower(): Table(kind, IdSequence(kind.prefix)) for kind in standard_objects()}
        self._history: dict[str, list[Update]] = {}
        self._locked: dict[str, int] = {}
        self._update_watchers: list[Watcher] = []
        self._read_watchers: list[Watcher] = []
        self._add_users()

    # -- for tests and seeding

    @property
    def daily_limit(self) -> int:
        """The API requests allowed per rolling 24 hours."""
        return self.usage.limit

    @daily_limit.setter
    def daily_limit(self, count: int) -> None:
        self.usage.limit = count

    @property
    def daily_used(self) -> int:
        """The API requests of the last 24 hours."""
        return self.usage.used

    @daily_used.setter
    def daily_used(self, count: int) -> None:
        self.usage.used = count

    def insert(self, object_name: str, values: Mapping[str, object]) -> str:
        """Create a record, with any given system fields; returns its 18-character id.

        Raises:
            KeyError: there is no such object or field.
            RecordError: a required value is missing, or a value breaks a rule of its field.
        """
        with self.guard:
            kind = self.kind(object_name)
            stored = _stored(kind, values)
            refuse_missing(kind, {f.name: f.default for f in kind.fields()} | {"OwnerId": self.owner_id} | stored)
            return self.create(kind, stored)

    def get(self, object_name: str, record_id: str) -> Record:
        """A copy of a record, deleted or not.

        Raises:
            KeyError: there is no such record.
        """
        with self.guard:
            return dict(self._table(object_name).rows[_full(record_id)])

    def records(self, object_name: str) -> list[Record]:
        """Copies of an object's records, including deleted ones, in the order of creation."""
        with self.guard:
            return [dict(row) for row in self._table(object_name).rows.values()]

    def edit(self, object_name: str, record_id: str, values: Mapping[str, object]) -> None:
        """Change a record as a person in the browser."""
        with self.guard:
            kind = self.kind(object_name)
            stored = _stored(kind, values)
            refuse_missing(kind, self.get(object_name, record_id) | stored)
            self.commit(kind, _full(record_id), stored, "person")

    def delete(self, object_name: str, record_id: str) -> None:
        """Move a record to the recycle bin, where only `queryAll` finds it."""
        with self.guard:
            self.commit(self.kind(object_name), _full(record_id), {"IsDeleted": True}, "system")

    def merge(self, object_name: str, winner: str, loser: str) -> None:
        """Merge two records: the loser is deleted and refers to the winner; the winner keeps its values."""
        with self.guard:
            kind = self.kind(object_name)
            self.commit(kind, _full(winner), {}, "system")
            self.commit(kind, _full(loser), {"IsDeleted": True, "MasterRecordId": _full(winner)}, "system")

    def convert_lead(self, lead_id: str, *, carry_custom: bool = False) -> str:
        """Convert a Lead to a new Account and Contact; returns the Contact's id.

        Args:
            lead_id: the Lead.
            carry_custom: whether the admin mapped each custom Lead field to the Contact's field of the same name;
                unmapped custom fields are not copied.
        """
        with self.guard:
            lead = self.get("Lead", lead_id)
            carried = [name for name in _CARRIED_BY_CONVERSION if lead[name] is not None]
            if carry_custom:
                carried += [f.name for f in self.kind("Contact").fields() if f.custom and lead.get(f.name) is not None]
            account = self.create(self.kind("Account"), {"Name": lead["Company"], "OwnerId": lead["OwnerId"]})
            values: Record = {name: lead[name] for name in carried} | {"AccountId": account}
            contact = self.create(self.kind("Contact"), values)
            outcome: Record = {
                "IsConverted": True,
                "Status": "Closed - Converted",
                "ConvertedDate": stamp(self.clock.now())[:10],
                "ConvertedAccountId": account,
                "ConvertedContactId": contact,
            }
            self.commit(self.kind("Lead"), _full(lead_id), outcome, "system")
            return contact

    def lock(self, record_id: str, times: int = 1) -> None:
        """Let the next API updates of this record fail with UNABLE_TO_LOCK_ROW, as if another process had locked it."""
        with self.guard:
            self._locked[_full(record_id)] = times

    def add_validation(
        self,
        object_name: str,
        predicate: Callable[[Record], bool],
        code: str = "FIELD_CUSTOM_VALIDATION_EXCEPTION",
        message: str = "Refused by a validation rule",
        fields: tuple[str, ...] = (),
    ) -> None:
        """Add a validation rule.

        Args:
            object_name: the object of the rule.
            predicate: receives the record as it would be saved; True refuses it, as in a rule's formula.
            code: the error code of its refusal.
            message: the admin's error text.
            fields: the fields that show the error; empty for a rule with its error at the top of the page.
        """
        with self.guard:
            self._table(object_name).rules.append(Rule(predicate, code, message, fields))

    def add_object(self, kind: ObjectType) -> None:
        """Add a custom object, or replace the one with its name."""
        with self.guard:
            self._tables[kind.name.lower()] = Table(kind, IdSequence(kind.prefix))

    def add_record_type(self, object_name: str, developer_name: str) -> str:
        """Add a record type of an object; returns its id."""
        values = {"SobjectType": self.kind(object_name).name, "DeveloperName": developer_name}
        return self.insert("RecordType", values | {"Name": developer_name.replace("_", " ")})

    def add_update_rule(self, object_name: str, rule: RowRule) -> None:
        """Refuse rows of API updates: `rule(current record, changes)` returns the problems of a row."""
        with self.guard:
            self._table(object_name).update_rules.append(rule)

    def add_duplicate_rule(self, object_name: str, field_name: str = "Email") -> None:
        """Refuse a row if another live record has its new value of this field; the error names no field."""
        self.add_update_rule(object_name, duplicate_rule(lambda: self.rows(self.kind(object_name)), field_name))

    def limit_trigger(self, object_name: str, limit: GovernorLimit | None) -> None:
        """Let a trigger of this object fail if an update has more rows than it can handle; None removes the limit."""
        with self.guard:
            self._table(object_name).trigger_limit = limit

    def add_field(self, object_name: str, new: Field) -> None:
        """Add a field to an object; existing records get its default."""
        with self.guard:
            table = self._table(object_name)
            table.kind.add(new)
            for record_id, row in table.rows.items():
                table.rows[record_id] = row | {new.name: row.get(new.name, new.default)}

    def remove_field(self, object_name: str, name: str) -> None:
        """Delete a custom field with its values."""
        with self.guard:
            table = self._table(object_name)
            table.kind.remove(name)
            for record_id, row in table.rows.items():
                table.rows[record_id] = {key: value for key, value in row.items() if key != name}

    def hide_field(self, object_name: str, field_name: str) -> None:
        """Revoke the API user's read access to a field: for the API, it does not exist."""
        with self.guard:
            self.kind(object_name).hide(field_name)

    def make_read_only(self, object_name: str, field_name: str) -> None:
        """Revoke the API user's edit access to a field."""
        with self.guard:
            self.kind(object_name).make_read_only(field_name)

    def grant_field(self, object_name: str, field_name: str) -> None:
        """Give the API user read and edit access to a field again."""
        with self.guard:
            self.kind(object_name).grant(field_name)

    def restrict_picklist(self, object_name: str, field_name: str, values: tuple[str, ...]) -> None:
        """Let a picklist accept only these values."""
        with self.guard:
            self.kind(object_name).restrict(field_name, values)

    def after_update(self, watcher: Watcher) -> None:
        """Call `watcher(object, id)` after each API update is saved and before its answer leaves."""
        self._update_watchers.append(watcher)

    def after_read(self, watcher: Watcher) -> None:
        """Call `watcher(object, id)` for each record that an API request reads, before its answer leaves."""
        self._read_watchers.append(watcher)

    def history(self, object_name: str, record_id: str) -> list[Update]:
        """The changes of a record since its creation, oldest first."""
        with self.guard:
            self._table(object_name)
            return list(self._history.get(_full(record_id), []))

    def updates_count(self, object_name: str, record_id: str) -> int:
        """The number of saved API updates of a record, including those that changed nothing."""
        return sum(1 for update in self.history(object_name, record_id) if update.who == "api")

    # -- for the API's modules, with `guard` held

    def kinds(self) -> list[ObjectType]:
        """All object types."""
        return [table.kind for table in self._tables.values()]

    def kind(self, name: str) -> ObjectType:
        """The object type of this name, ignoring case.

        Raises:
            KeyError: there is no such object.
        """
        return self._table(name).kind

    def find_kind(self, name: str) -> ObjectType | None:
        """The object type of this name, or None."""
        table = self._tables.get(name.lower())
        return None if table is None else table.kind

    def rows(self, kind: ObjectType) -> Iterator[Record]:
        """The stored records, not copies, in the order of their ids."""
        return iter(self._table(kind.name).rows.values())

    def rows_between(self, kind: ObjectType, span: IdSpan, *, descending: bool) -> Iterator[Record]:
        """The stored records of a range of ids, not copies, in the order of their ids."""
        return self._table(kind.name).between(span, descending=descending)

    def row(self, kind: ObjectType, record_id: str) -> Record | None:
        """The stored record, not a copy, deleted or not."""
        return self._table(kind.name).rows.get(record_id)

    def rules(self, kind: ObjectType) -> list[Rule]:
        """The object's validation rules."""
        return self._table(kind.name).rules

    def update_rules(self, kind: ObjectType) -> list[RowRule]:
        """The object's rules about rows of API updates."""
        return self._table(kind.name).update_rules

    def trigger_limit(self, kind: ObjectType) -> GovernorLimit | None:
        """The limit of rows per call of the object's trigger; None for no limit."""
        return self._table(kind.name).trigger_limit

    def take_lock(self, record_id: str) -> bool:
        """Whether this update meets a locked row; counts the update."""
        left = self._locked.get(record_id, 0)
        if left:
            self._locked[record_id] = left - 1
        return left > 0

    def watchers(self, *, reads: bool) -> list[Watcher]:
        """The callbacks for reads or for updates."""
        return list(self._read_watchers if reads else self._update_watchers)

    def create(self, kind: ObjectType, stored: Record) -> str:
        """Save a new record whose values have their stored form."""
        table = self._table(kind.name)
        now = stamp(self.clock.now())
        record: Record = {f.name: f.default for f in kind.fields()}
        record |= {"Id": table.ids.take(), "OwnerId": self.owner_id}
        record |= {"CreatedDate": now, "LastModifiedDate": now, "SystemModstamp": now}
        record |= {"CreatedById": self.owner_id, "LastModifiedById": self.owner_id}
        record |= stored
        record_id = str(record["Id"])
        if "PhotoUrl" in record:
            record["PhotoUrl"] = f"/services/images/photo/{record_id}"
        table.add(record_id, _calculated(record))
        return record_id

    def commit(self, kind: ObjectType, record_id: str, stored: Record, who: str) -> None:
        """Save values in their stored form to a record; its times change even if nothing differs."""
        table = self._table(kind.name)
        before = table.rows[record_id]
        now = self.clock.now()
        times: Record = {"LastModifiedDate": stamp(now), "SystemModstamp": stamp(now)}
        times["LastModifiedById"] = self.user_id if who == "api" else self.owner_id
        table.rows[record_id] = _calculated(before | times | stored)
        changes = {name: (before[name], value) for name, value in stored.items() if before[name] != value}
        self._history.setdefault(record_id, []).append(Update(now, who, changes))

    def _add_users(self) -> None:
        """The API's integration user, and the person who owns new records."""
        people = (
            (self.user_id, "Integration", "User", "integration"),
            (self.owner_id, "Robin", "Owner", "robin.owner"),
        )
        for record_id, given, family, mail_name in people:
            address = f"{mail_name}@example.com"
            names: Record = {"FirstName": given, "LastName": family, "Username": address, "Email": address}
            self.create(self.kind("User"), {"Id": record_id, "Alias": given[:8].lower(), "OwnerId": None, **names})

    def _table(self, name: str) -> Table:
        return self._tables[name.lower()]


def _stored(kind: ObjectType, values: Mapping[str, object]) -> Record:
    return {kind.need(name).name: store(kind.need(name), value) for name, value in values.items()}


def _full(record_id: str) -> str:
    full = parse_id(record_id)
    if full is None:
        raise KeyError(f"{record_id} is not a record id")
    return full


def _calculated(record: Record) -> Record:
    """The record with its calculated fields: the full name, and whether its email bounced."""
    if "LastName" in record:
        record["Name"] = " ".join(str(part) for part in (record["FirstName"], record["LastName"]) if part)
    if "IsEmailBounced" in record:
        record["IsEmailBounced"] = record["EmailBouncedDate"] is not None
    return record
