"""The fields that a mapping names, each with its use and the words that the connector may write to it."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import product

from connector.core.identifiers import Shape
from connector.core.mapping import MappingFile, PicklistFlag
from connector.core.mapping_base import KeyPath


class Use(StrEnum):
    """What a mapping does with a field."""

    FLAG = "flag"
    FLAG_WORD = "flag word"
    PERSON_ID = "identifier"
    PERSON_URL = "web address of a person"
    PERSON_WORDS = "words that identify a person"
    EMAIL = "email"
    PHONE = "phone"
    EMPTY_WHEN = "empty_when"
    OPT_OUT = "opt-out"
    STATUS = "status"
    WHEN = "date and time"
    SOURCE = "source"
    VALUE_SOURCE = "source of a value"
    RUN_ID = "run id"
    REASON = "reason"
    ID_STAMP = "resolved id"


WRITTEN = frozenset(Use) - {Use.PERSON_ID, Use.PERSON_URL, Use.PERSON_WORDS, Use.EMPTY_WHEN, Use.OPT_OUT}
_OF_VALUE = {"source": Use.VALUE_SOURCE, "at": Use.WHEN, "run": Use.RUN_ID}
BY_SHAPE = {Shape.ID: Use.PERSON_ID, Shape.URL: Use.PERSON_URL, Shape.WORDS: Use.PERSON_WORDS}


@dataclass(frozen=True, slots=True)
class MappedField:
    """One use of a field: the key in the mapping file, the field's name, and what it is for."""

    path: KeyPath
    name: str
    use: Use


def mapped_fields(mapping: MappingFile) -> Iterator[MappedField]:
    """Every field of a mapping, once for each key."""
    if isinstance(mapping.select.flag, PicklistFlag):
        yield MappedField(("select", "flag", "field"), mapping.select.flag.field, Use.FLAG_WORD)
    else:
        yield MappedField(("select", "flag"), mapping.select.flag, Use.FLAG)
    for one, found in mapping.person.mapped_kinds:
        for key, name in found.fields.items():
            yield MappedField(("person", key), name, BY_SHAPE[one.shape])
    for channel, rules in mapping.channels.items():
        target = Use.EMAIL if rules.is_email else Use.PHONE
        keys = (("field", target), ("empty_when", Use.EMPTY_WHEN), ("status", Use.STATUS), ("opt_out", Use.OPT_OUT))
        for key, use in keys:
            name = getattr(rules, key)
            if name:
                yield MappedField(("channels", channel.value, key), name, use)
        for stamp, name in rules.stamps():
            yield MappedField(("channels", channel.value, "stamp", stamp), name, _OF_VALUE[stamp])
    stamps = {"enriched_at": Use.WHEN, "source": Use.SOURCE, "error": Use.REASON}
    for stamp, name in mapping.stamp.fields():
        yield MappedField(("stamp", stamp), name, stamps.get(stamp, Use.ID_STAMP))


def words_written(mapping: MappingFile, mapped: MappedField) -> tuple[str, ...]:
    """Every word that the connector may write to a choice field."""
    if mapped.use is Use.STATUS:
        return tuple(dict.fromkeys(str(word) for word in mapping.statuses.model_dump().values()))
    if mapped.use is Use.FLAG_WORD and isinstance(mapping.select.flag, PicklistFlag):
        return (mapping.select.flag.asks, mapping.select.flag.done)
    if mapped.use is Use.VALUE_SOURCE:
        return next(rules.sources for channel, rules in mapping.channels.items() if channel.value == mapped.path[1])
    return _sources(mapping) if mapped.use is Use.SOURCE else ()


def _sources(mapping: MappingFile) -> tuple[str, ...]:
    """Providers as they stand in `stamp.source`: one or several, in the order of the channels that they delivered."""
    each = [("", *channel.sources) for _, channel in mapping.channels.items()]
    texts = (", ".join(dict.fromkeys(name for name in names if name)) for names in product(*each))
    return tuple(dict.fromkeys(text for text in texts if text))
