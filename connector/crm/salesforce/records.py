"""Rows of answers as records."""

from connector.core.errors import DownError
from connector.core.limits import version_of
from connector.core.model import CrmRecord, FieldValue
from connector.crm.salesforce.bodies import RecordRow
from connector.crm.salesforce.ids import to_18


def record_of(row: RecordRow) -> CrmRecord:
    """A record from a row.

    Raises:
        DownError: the row has no id.
    """
    record_id = id_of(row.get("Id"))
    if record_id is None:
        raise DownError("Salesforce sent a record without an id; run again later")
    values: dict[str, FieldValue] = {name: value for name, value in row.items() if name != "attributes"}
    moved_to: tuple[str, str] | None = None
    contact = id_of(row.get("ConvertedContactId"))
    if row.get("IsConverted") is True and contact is not None:
        moved_to = ("Contact", contact)
    return CrmRecord(record_id, version_of(row.get("SystemModstamp", "")), values, moved_to)


def id_of(value: object) -> str | None:
    """A record's id in its full form; None for anything else, which no ledger keeps."""
    return to_18(value) if isinstance(value, str) else None
