"""Lensmor's identifiers: its own id of a person, and the event by which it groups purchases."""

import re

from connector.core.digits import NotDigits, digits_of, is_filler
from connector.core.identifiers import IdentifierKind, PersonKeys, Unusable
from connector.core.invisible import has_control, trimmed, visible
from connector.core.model import CrmRecord

_PERSON_KEY, _EVENT_KEY = "personnel_id", "event_id"
_EVENT = re.compile(r"[A-Za-z0-9_-]{1,100}")
_NO_EVENT = frozenset({"na", "none", "null", "unknown", "undefined"})  # typed where there is no event


def _personnel_id(record: CrmRecord, keys: PersonKeys) -> str | Unusable | None:
    name = keys.fields.get(_PERSON_KEY)
    if not record.text(name):
        return None
    found = digits_of(record.values.get(str(name)))
    if isinstance(found, str) and not is_filler(found):
        return found
    reason = found.reason if isinstance(found, NotDigits) else "its digits are a placeholder"
    return Unusable(f"{name} is not a personnel id: {reason}")


def _event(record: CrmRecord, keys: PersonKeys) -> str | None:
    """The event, if there is one; without it the person is bought without naming an event."""
    text = trimmed(keys.text(_EVENT_KEY, record))
    if has_control(text):
        return None
    text = visible(text).removeprefix("'").strip()
    found = digits_of(text)
    if isinstance(found, str):
        return found
    is_id = _EVENT.fullmatch(text) is not None and text.strip("0-_") != "" and text.lower() not in _NO_EVENT
    return text if is_id else None


PERSONNEL_ID = IdentifierKind(
    name=_PERSON_KEY,
    words="personnel id",
    keys={_PERSON_KEY: "Field with the Lensmor personnel id (digits)."},
    read=_personnel_id,
    is_stamped=True,
)
EVENT_ID = IdentifierKind(
    name=_EVENT_KEY,
    words="event",
    keys={_EVENT_KEY: "Field with a Lensmor event of the person, or {value: ...} for all records."},
    read=_event,
    may_be_fixed=True,
    groups=True,
)
