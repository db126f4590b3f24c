"""Checks before anything is bought: every mapped field against its use and what this user may see and write."""

from collections.abc import Iterator

from connector.core.errors import ConfigurationError
from connector.core.mapped_fields import WRITTEN, MappedField, Use, mapped_fields, words_written
from connector.core.mapping import MappingFile
from connector.core.spelling import did_you_mean, nearest
from connector.crm.interface import Crm, FieldInfo, ObjectInfo, Problem
from connector.crm.salesforce.field_rules import misfit, odd_target, why_never_editable

_CUT = frozenset({Use.SOURCE, Use.VALUE_SOURCE})  # a text that is too long is cut
USUAL_OBJECTS = ("Lead", "Contact", "Account")


def check_fields(crm: Crm, mapping: MappingFile) -> list[Problem]:
    """Compare a mapping with the object's description and its condition with Salesforce's parser."""
    try:
        info = crm.describe(mapping.object)
    except ConfigurationError as error:
        hint = did_you_mean(mapping.object, USUAL_OBJECTS)
        return [Problem(("object",), f"{error}; {hint}" if hint else str(error))]
    problems = [*_named(info, mapping), *_object(info, mapping)]
    for mapped in mapped_fields(mapping):
        problems += _field(info, mapping, mapped)
    if mapping.select.where:
        try:
            crm.check_condition(mapping.object, mapping.select.where)
        except ConfigurationError as error:
            problems.append(Problem(("select", "where"), str(error)))
    return problems


def _named(info: ObjectInfo, mapping: MappingFile) -> Iterator[Problem]:
    if info.name != mapping.object:  # Salesforce takes any case; ids of runs and plans would not agree
        yield Problem(("object",), f"write {info.name}, as Salesforce does, not {mapping.object}")


def _object(info: ObjectInfo, mapping: MappingFile) -> Iterator[Problem]:
    if not info.updateable:
        yield Problem(
            ("object",),
            f"the connector's user may not edit {mapping.object} records; give the user's permission set Edit on the "
            "object",
        )


def _field(info: ObjectInfo, mapping: MappingFile, mapped: MappedField) -> Iterator[Problem]:
    """Everything that is wrong with one use of a field."""
    field = info.get(mapped.name)
    if field is None:
        hint = did_you_mean(mapped.name, [one.name for one in info.fields.values()])
        yield Problem(
            mapped.path,
            f"{mapping.object} has no field {mapped.name} that the connector's user can see; "
            f"{hint + ' Else ' if hint else ''}check the name, and give the user's permission set read access to it",
        )
        return
    if field.name != mapped.name:
        # Salesforce takes any case and answers in its own: the value would pass for an empty one.
        yield Problem(mapped.path, f"write {field.name}, as Salesforce does, not {mapped.name}")
    unfit = misfit(field, mapped.use)
    if unfit:
        yield Problem(mapped.path, unfit)
    if mapped.use in WRITTEN:
        yield from _writable(info, field, mapped)
    if not unfit:
        yield from _allowed(field, mapping, mapped)
        odd = odd_target(field, mapped.use)
        if odd:
            yield Problem(mapped.path, odd[0], fatal=odd[1])


def _writable(info: ObjectInfo, field: FieldInfo, mapped: MappedField) -> Iterator[Problem]:
    if field.updateable:
        return
    never = why_never_editable(field)
    if never:
        yield Problem(mapped.path, f"{field.name} is {never}: it can never be edited; map another field")
    elif info.updateable:  # else the object's own problem says it
        words = f"{field.name} cannot be edited; give the user's permission set edit access to it"
        yield Problem(mapped.path, words)


def _allowed(field: FieldInfo, mapping: MappingFile, mapped: MappedField) -> Iterator[Problem]:
    """Words that a choice field does not take, and words that are longer than a text field."""
    words = words_written(mapping, mapped)
    missing = [word for word in words if word not in field.options]
    if field.allowed is not None and missing:
        close = {word: nearest(word, field.options, 0.8) for word in missing}
        has = "".join(f" (it has {found}, not {word})" for word, found in close.items() if found)
        yield Problem(
            mapped.path,
            f"{field.name} is a restricted picklist without {', '.join(missing)}{has}; add these values, or make it "
            "unrestricted",
        )
    elif field.options and missing and mapped.use is Use.FLAG_WORD:
        yield from _unlisted_flag_words(field, mapped, missing)
    if 0 < field.length < max(map(len, words), default=0) and mapped.use not in _CUT:
        longest = max(words, key=len)
        yield Problem(
            mapped.path, f"{field.name} holds {field.length} characters, and {longest} has {len(longest)}; lengthen it"
        )


def _unlisted_flag_words(field: FieldInfo, mapped: MappedField, missing: list[str]) -> Iterator[Problem]:
    """An unrestricted picklist takes any word, but people can choose only those that it lists."""
    by_lower = {option.lower(): option for option in field.options}
    for word in missing:
        listed = by_lower.get(word.lower())
        if listed:  # the flag is found in any case, but compared exactly before it is cleared
            yield Problem(mapped.path, f"write {listed}, as the picklist {field.name} does, not {word}")
        else:
            words = f"the picklist {field.name} does not list {word}; add the value, so that people see and choose it"
            yield Problem(mapped.path, words, fatal=False)
