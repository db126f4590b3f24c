"""What each mapped field must be: its kinds by use, why a field can never be edited, and targets that look wrong."""

from collections.abc import Mapping

from connector.core.mapped_fields import Use
from connector.crm.interface import FieldInfo

_TEXT = frozenset({"string", "textarea"})
_CHOICE = frozenset({"picklist", "combobox"})
_NUMBER = frozenset({"int", "long", "double", "currency", "percent"})
FITTING: Mapping[Use, frozenset[str]] = {
    Use.FLAG: frozenset({"boolean"}),
    Use.FLAG_WORD: _CHOICE | {"string"},
    Use.PERSON_ID: _TEXT | _CHOICE | _NUMBER,
    Use.PERSON_URL: _TEXT | {"url"},
    Use.PERSON_WORDS: _TEXT | _CHOICE | {"url", "email"},
    Use.EMAIL: _TEXT | {"email"},
    Use.PHONE: _TEXT | {"phone"},
    Use.EMPTY_WHEN: _TEXT | _CHOICE | {"boolean", "date", "datetime", "email", "phone", "url", "multipicklist"},
    Use.OPT_OUT: frozenset({"boolean"}),
    Use.STATUS: _TEXT | _CHOICE,
    Use.WHEN: frozenset({"datetime"}),
    Use.SOURCE: _TEXT | _CHOICE,
    Use.VALUE_SOURCE: _TEXT | _CHOICE,
    Use.RUN_ID: _TEXT,
    Use.REASON: _TEXT,
    Use.ID_STAMP: _TEXT,
}
KINDS: Mapping[str, str] = {
    "boolean": "checkbox",
    "string": "text",
    "textarea": "long text",
    "double": "number",
    "int": "number",
    "long": "number",
    "url": "URL",
    "datetime": "date and time",
    "reference": "lookup",
    "multipicklist": "multi-select picklist",
    "encryptedstring": "encrypted text",
    "id": "record id",
}
SHORTEST_ID_DIGITS = 8  # ids in the vendor's examples have up to eight
SHORTEST_EMAIL = 40
SHORTEST_PHONE = 16  # +, fifteen digits
_MADE_OF_OTHERS = frozenset({"address", "location"})
# Standard fields that say who the person is: an address or a number there destroys the record.
_NAMES = frozenset({"lastname", "firstname", "middlename", "suffix", "name", "company"})
_OTHER_PHONES = frozenset({"fax", "assistantphone"})


def kind(field_type: str) -> str:
    """A field's type as the admin's screen calls it."""
    return KINDS.get(field_type, field_type)


def why_never_editable(field: FieldInfo) -> str | None:
    """Why no permission can make a field editable; None when one can."""
    if field.calculated:
        return "a formula or roll-up summary field, which Salesforce computes"
    if field.auto_number:
        return "an auto-number field, which Salesforce fills"
    if field.type in _MADE_OF_OTHERS or field.compound:
        return "a compound field, which is made of other fields"
    if field.type == "id":
        return "the record's id"
    if not field.custom and not field.permissionable:
        return "a system field, which Salesforce alone sets"
    return None


def misfit(field: FieldInfo, use: Use) -> str | None:
    """Why a field's type cannot serve a use; None when it can."""
    fitting = FITTING[use]
    if field.type not in fitting:
        return _wrong_kind(field, use, fitting)
    if use is Use.PERSON_ID and field.type in _NUMBER:
        return _number_as_id(field)
    if use in {Use.FLAG, Use.FLAG_WORD} and not field.filterable:
        return f"Salesforce cannot filter by {field.name}; use a checkbox or a picklist"
    return None


def _wrong_kind(field: FieldInfo, use: Use, fitting: frozenset[str]) -> str:
    article = "an" if kind(field.type)[:1] in "aeiou" else "a"
    is_a = f"{field.name} is {article} {kind(field.type)} field"
    if use is Use.FLAG:
        return f"{is_a}, not a checkbox; for a picklist write flag: {{field: ..., asks: ..., done: ...}}"
    if use is Use.FLAG_WORD and field.type == "boolean":
        return f"{is_a}; write flag: {field.name}, without asks and done"
    if use is Use.OPT_OUT:
        return f"{is_a}; an opt-out must be a checkbox, because any other value could be read wrongly"
    if use is Use.EMPTY_WHEN:
        return f"{is_a}; empty_when must be a date, a checkbox or a text, because a number is never empty for certain"
    return f"{is_a}; map one of type {' or '.join(sorted({kind(one) for one in fitting}))}"


def _number_as_id(field: FieldInfo) -> str | None:
    digits = field.digits or field.precision - field.scale
    if field.scale > 0:
        return (
            f"{field.name} is a number with {field.scale} decimals; an id needs a text field, or a number without any"
        )
    if 0 < digits < SHORTEST_ID_DIGITS:
        return f"{field.name} holds {digits} digits at most, and an id may have more; map a text field"
    return None


def odd_target(field: FieldInfo, use: Use) -> tuple[str, bool] | None:
    """Why a field that fits by its type looks like a mistake, and whether it certainly is one."""
    if use in {Use.EMAIL, Use.PHONE} and field.name.lower() in _NAMES and not field.custom:
        return f"{field.name} holds a name; {_an(use)} there would replace it: map a field made for it", True
    if field.custom:
        return _too_short(field, use)
    if use in {Use.EMAIL, Use.PHONE} and field.type in _TEXT:
        return f"{field.name} is a standard field with a meaning of its own; is {_an(use)} meant to go there?", False
    if use is Use.PHONE and field.name.lower() in _OTHER_PHONES:
        return f"{field.name} is not the person's own number; is a mobile phone meant to go there?", False
    if use in {Use.STATUS, Use.SOURCE, Use.VALUE_SOURCE, Use.RUN_ID, Use.REASON, Use.ID_STAMP}:
        what = "the connector's status words" if use is Use.STATUS else f"the connector's {use.value}"
        return f"{field.name} is a standard field with a meaning of its own; are {what} meant to go there?", False
    return None


def _an(use: Use) -> str:
    return "an email address" if use is Use.EMAIL else "a phone number"


def _too_short(field: FieldInfo, use: Use) -> tuple[str, bool] | None:
    least = {Use.EMAIL: SHORTEST_EMAIL, Use.PHONE: SHORTEST_PHONE}.get(use)
    if least is not None and 0 < field.length < least:
        words = f"{field.name} holds {field.length} characters at most; {_an(use)} may have more and be refused"
        return words, False
    return None
