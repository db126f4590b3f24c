"""Checks before anything is bought: every mapped field against what this user may see and write."""

from collections.abc import Iterator
from dataclasses import dataclass

from connector.core.errors import ConfigurationError
from connector.core.mapping import KeyPath, MappingFile, PicklistFlag
from connector.crm.interface import Crm, FieldInfo, ObjectInfo

_FITS = {
    "email": {"email", "string", "textarea"},
    "phone": {"phone", "string", "textarea"},
    "status": {"picklist", "string", "textarea", "combobox"},
    "enriched_at": {"datetime"},
    "text": {"string", "textarea", "picklist", "combobox", "url"},
}


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one mapped field, and the fix.

    Attributes:
        path: the key in the mapping file.
        fatal: nothing may be bought before it is corrected.
    """

    path: KeyPath
    message: str
    fatal: bool = True


def check_fields(crm: Crm, mapping: MappingFile) -> list[Problem]:
    """Compare a mapping with the object's description and its condition with Salesforce's parser."""
    info = crm.describe(mapping.object)
    problems = [*_named(info, mapping), *_readable(info, mapping), *_writable(info, mapping), *_types(info, mapping)]
    if mapping.select.where:
        try:
            crm.check_condition(mapping.object, mapping.select.where)
        except ConfigurationError as error:
            problems.append(Problem(("select", "where"), str(error)))
    return problems


def _named(info: ObjectInfo, mapping: MappingFile) -> Iterator[Problem]:
    if info.name != mapping.object:  # Salesforce takes any case; ids of runs and plans would not agree
        yield Problem(("object",), f"write {info.name}, as Salesforce does, not {mapping.object}")


def _read_keys(mapping: MappingFile) -> Iterator[tuple[KeyPath, str]]:
    flag: KeyPath = ("select", "flag", "field") if isinstance(mapping.select.flag, PicklistFlag) else ("select", "flag")
    yield flag, mapping.select.flag_field
    person = mapping.person
    for key in ("personnel_id", "event_id", "linkedin_url"):
        name = getattr(person, key)
        if isinstance(name, str):
            yield ("person", key), name
    for channel, rules in mapping.channels.items():
        for key in ("field", "empty_when", "status", "opt_out"):
            name = getattr(rules, key)
            if name:
                yield ("channels", channel.value, key), name
    for stamp, name in mapping.stamp.fields():
        yield ("stamp", stamp), name


def _readable(info: ObjectInfo, mapping: MappingFile) -> Iterator[Problem]:
    for path, name in _read_keys(mapping):
        field = info.get(name)
        if field is None:
            yield Problem(
                path,
                f"{mapping.object} has no field {name} that the connector's user can see; check the name, and give the "
                "user's permission set read access to it",
            )
        elif field.name != name:
            # Salesforce takes any case and answers in its own: the value would pass for an empty one.
            yield Problem(path, f"write {field.name}, as Salesforce does, not {name}")


def _writable(info: ObjectInfo, mapping: MappingFile) -> Iterator[Problem]:
    written = {name.lower() for name in mapping.written_fields()}
    for path, name in _read_keys(mapping):
        field = info.get(name)
        is_target = path[-1] in {"field", "status", "flag"} or path[0] in {"stamp", "select"}
        if field is not None and is_target and name.lower() in written and not field.updateable:
            yield Problem(path, f"{name} cannot be edited; give the user's permission set edit access to it")


def _types(info: ObjectInfo, mapping: MappingFile) -> Iterator[Problem]:
    flag = info.get(mapping.select.flag_field)
    if flag is not None and isinstance(mapping.select.flag, str) and flag.type != "boolean":
        yield Problem(
            ("select", "flag"),
            f"{flag.name} is a {flag.type}, not a checkbox; for a picklist write flag: "
            "{field: ..., asks: ..., done: ...}",
        )
    if flag is not None and not flag.filterable:
        yield Problem(("select", "flag"), f"Salesforce cannot filter by {flag.name}; use a checkbox or a picklist")
    for channel, rules in mapping.channels.items():
        yield from _fit(
            info.get(rules.field), "email" if rules.is_email else "phone", ("channels", channel.value, "field")
        )
        if rules.status:
            path: KeyPath = ("channels", channel.value, "status")
            yield from _fit(info.get(rules.status), "status", path)
            yield from _allowed(info.get(rules.status), mapping, path)
    for stamp, name in mapping.stamp.fields():
        yield from _fit(info.get(name), "enriched_at" if stamp == "enriched_at" else "text", ("stamp", stamp))


def _fit(field: FieldInfo | None, purpose: str, path: KeyPath) -> Iterator[Problem]:
    if field is not None and field.type not in _FITS[purpose]:
        fitting = " or ".join(sorted(_FITS[purpose]))
        yield Problem(path, f"{field.name} is a {field.type} field; map one of type {fitting}")


def _allowed(field: FieldInfo | None, mapping: MappingFile, path: KeyPath) -> Iterator[Problem]:
    if field is None or field.allowed is None:
        return
    words = mapping.statuses.model_dump().values()
    missing = sorted({str(word) for word in words} - field.allowed)
    if missing:
        yield Problem(
            path,
            f"{field.name} is a restricted picklist without {', '.join(missing)}; add these values, or make it "
            "unrestricted",
        )
