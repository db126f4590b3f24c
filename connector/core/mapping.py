"""The mapping file's schema: the meaning of an object's fields, and what may be bought and written.

The models are strict: an unknown key or a wrong type is an error. `core/mapping_checks.py` finds problems that involve
several keys or the installed providers, such as a field that is written twice.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema, create_model

from connector.core.durations import parse_duration, write_duration
from connector.core.identifiers import IdentifierKind, PersonKeys
from connector.core.mapping_base import MAPPING_NAME, FieldName, KeyPath, Strict
from connector.core.mapping_channels import Channels
from connector.core.model import Channel

Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(write_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,5}[mhd]$"}),
]
Credits = Annotated[int, Field(ge=0)]


class PicklistFlag(Strict):
    """A picklist that requests enrichment with one value and confirms it with another."""

    field: FieldName = Field(description="The picklist field.")
    asks: str = Field(min_length=1, description="The value that requests enrichment.")
    done: str = Field(min_length=1, description="The value written when the record is finished.")


class Order(StrEnum):
    """The order of flagged records; it matters when a cap stops the day's purchases."""

    NEWEST = "newest"
    OLDEST = "oldest"


class Select(Strict):
    """The records to enrich."""

    flag: FieldName | PicklistFlag = Field(
        description="The checkbox that requests enrichment (or a picklist with two values). It is cleared in the same "
        "update that writes the outcome."
    )
    where: str | None = Field(
        default=None,
        max_length=4000,
        description="Optional condition in the CRM's own language that every record must also meet.",
    )
    order: Order = Field(default=Order.OLDEST, strict=False, description="Which records come first: newest or oldest.")

    @property
    def flag_field(self) -> str:
        """The name of the flag field, of either type."""
        return self.flag if isinstance(self.flag, str) else self.flag.field

    @property
    def asks(self) -> str | bool:
        """The value of the flag that requests enrichment."""
        return True if isinstance(self.flag, str) else self.flag.asks

    @property
    def done(self) -> str | bool:
        """The value of the flag for a finished record."""
        return False if isinstance(self.flag, str) else self.flag.done


class FixedValue(Strict):
    """The same value for every record, instead of a field."""

    value: str = Field(min_length=1, max_length=100, description='The value; put a number in quotes: {value: "52001"}.')


class PersonFields(Strict):
    """The fields that identify the person behind a record; at least one identifier."""

    kinds: ClassVar[tuple[IdentifierKind, ...]] = ()

    def mapped(self) -> Iterator[tuple[str, str | FixedValue]]:
        """The mapped keys, each with its field or fixed value."""
        for kind in self.kinds:
            for key in kind.keys:
                found: str | FixedValue | None = getattr(self, key)
                if found is not None:
                    yield key, found

    @cached_property
    def mapped_kinds(self) -> tuple[tuple[IdentifierKind, PersonKeys], ...]:
        """The kinds of identifiers with at least one mapped key."""
        given = dict(self.mapped())
        found = []
        for kind in self.kinds:
            mine = {key: given[key] for key in kind.keys if key in given}
            if mine:
                fields = {key: name for key, name in mine.items() if isinstance(name, str)}
                fixed = {key: one.value for key, one in mine.items() if isinstance(one, FixedValue)}
                found.append((kind, PersonKeys(fields, fixed)))
        return tuple(found)

    def fields(self) -> frozenset[str]:
        """The CRM fields that identify the person."""
        return frozenset(name for _, name in self.mapped() if isinstance(name, str))


class Stamp(Strict):
    """Fields for the time, source and error of an enrichment; all optional."""

    enriched_at: FieldName | None = Field(default=None, description="Date and time of the last enrichment.")
    source: FieldName | None = Field(default=None, description="The provider that delivered.")
    error: FieldName | None = Field(default=None, description="One readable reason, cut to the field's length.")

    @cached_property
    def _mapped(self) -> dict[str, str]:
        found = {stamp: getattr(self, stamp) for stamp in type(self).model_fields}
        return {stamp: name for stamp, name in found.items() if name is not None}

    def fields(self) -> Iterable[tuple[str, str]]:
        """The mapped stamps, as (stamp, field)."""
        return self._mapped.items()

    @cached_property
    def identifiers(self) -> tuple[tuple[str, str], ...]:
        """The mapped stamps for identifiers that a provider finds, as (kind, field)."""
        return tuple((stamp, name) for stamp, name in self.fields() if stamp not in Stamp.model_fields)


class Limits(Strict):
    """The caps of this mapping, and how soon it may buy again."""

    max_credits: dict[str, Credits] = Field(default_factory=dict, description="Most credits per run, by provider.")
    max_credits_per_day: dict[str, Credits] = Field(
        default_factory=dict, description="Most credits per day over all runs and triggers, by provider."
    )
    refresh_after: Duration = Field(
        default=timedelta(days=180), description="How long a delivered value is not bought again, such as 180d."
    )
    retry_not_found_after: Duration = Field(
        default=timedelta(days=30), description="How long a person who was not found is not bought again, such as 30d."
    )


class Statuses(Strict):
    """The values written to the status fields."""

    in_progress: str = Field(
        default="In progress", min_length=1, description="Bought; the vendor's task is still running."
    )
    unlocked: str = Field(default="Unlocked", min_length=1, description="A value was obtained.")
    not_found: str = Field(default="Not found", min_length=1, description="No source has a value for the person.")
    failed: str = Field(default="Failed", min_length=1, description="The vendor reported a failure, without a value.")
    skipped: str = Field(default="Skipped", min_length=1, description="Nothing was bought, or nothing was written.")
    unknown: str = Field(default="Unknown", min_length=1, description="Sent, but the vendor's answer was lost.")


class MappingFile(Strict):
    """One CRM object's mapping to persons, channels and fields."""

    model_config = ConfigDict(title="Enrichment mapping")
    added_keys: ClassVar[frozenset[str]] = frozenset()  # keys of identifiers that only some installations have

    version: Literal[1] = Field(description="The version of this file format: 1.")
    name: str = Field(pattern=MAPPING_NAME, description="The mapping's name in commands and reports.")
    crm: str = Field(default="", description="The CRM of this mapping.")
    object: FieldName = Field(description="The CRM's object, such as Lead.")
    select: Select = Field(description="The records to enrich.")
    schedule: str | None = Field(
        default=None,
        description="Five cron fields (minute hour day month weekday) in UTC, used by serve and worker.",
    )
    person: PersonFields = Field(description="The fields that identify the person behind a record.")
    channels: Channels = Field(description="The channels to buy, their providers and fields.")
    stamp: Stamp = Field(default_factory=Stamp, description="Fields for the time, source and error; all optional.")
    limits: Limits = Field(
        default_factory=Limits, description="The caps of this mapping, and how soon it may buy again."
    )
    statuses: Statuses = Field(default_factory=Statuses, description="The values written to the status fields.")

    def digest(self) -> str:
        """A digest of the mapping's meaning; comments and explicit defaults do not change it."""
        unused = {name: {key for key in self.added_keys if getattr(part, key, "") is None}
                  for name, part in (("person", self.person), ("stamp", self.stamp))}  # fmt: skip
        default = {"crm"} if self.crm == type(self).model_fields["crm"].default else set[str]()
        unstamped = {channel.value: {"stamp"} for channel, found in self.channels.items() if found.stamp is None}
        text = self.model_dump_json(
            by_alias=True, exclude={**unused, "channels": unstamped, **dict.fromkeys(default, True)}
        )
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def trigger(self) -> tuple[str, str, str]:
        """CRM, object and flag field; equal for mappings that would clear each other's flag, whatever their case."""
        return self.crm, self.object.lower(), self.select.flag_field.lower()

    def read_fields(self) -> frozenset[str]:
        """The fields that the CRM user must be able to read."""
        names: set[str | None] = {self.select.flag_field, *self.person.fields()}
        for _, channel in self.channels.items():
            names |= {channel.field, channel.empty_when, channel.status, channel.opt_out}
        return frozenset(name for name in names if name) | self.written_fields()

    def written_fields(self) -> frozenset[str]:
        """The fields that the CRM user must be able to write."""
        return frozenset(name for name, _ in written_keys(self))

    def providers(self) -> frozenset[str]:
        """The providers of all channels."""
        return frozenset(name for _, channel in self.channels.items() for name in channel.sources)


def written_keys(mapping: MappingFile) -> Iterator[tuple[str, KeyPath]]:
    """Every field that a mapping writes, with the path of its key."""
    flag = mapping.select.flag
    yield mapping.select.flag_field, ("select", "flag") if isinstance(flag, str) else ("select", "flag", "field")
    for channel, found in mapping.channels.items():
        yield found.field, ("channels", channel.value, "field")
        if found.status:
            yield found.status, ("channels", channel.value, "status")
        for stamp, name in found.stamps():
            yield name, ("channels", channel.value, "stamp", stamp)
    for stamp, name in mapping.stamp.fields():
        yield name, ("stamp", stamp)


def mapping_model(
    crms: tuple[str, ...], kinds: tuple[IdentifierKind, ...], added: tuple[IdentifierKind, ...] = ()
) -> type[MappingFile]:
    """Build the mapping file's model, with a key for each identifier that an installed provider accepts.

    Args:
        crms: the names of the CRMs; the first one is the default.
        kinds: the kinds that every installation has, in the order in which a mapping's problems are shown.
        added: the kinds of other packages' providers; a mapping without them has the same digest in every installation.
    """
    kinds = (*kinds, *added)
    person: Any = {
        key: (FieldName | FixedValue | None if kind.may_be_fixed else FieldName | None, Field(None, description=words))
        for kind in kinds
        for key, words in kind.keys.items()
    }
    stamps: Any = {
        kind.name: (FieldName | None, Field(None, description=f"Receives a {kind.words} that a provider found."))
        for kind in kinds
        if kind.is_stamped
    }
    person_model = create_model("PersonFields", __base__=PersonFields, __doc__=PersonFields.__doc__, **person)
    person_model.kinds = kinds
    stamp_model = create_model("Stamp", __base__=Stamp, __doc__=Stamp.__doc__, **stamps)
    old = MappingFile.model_fields
    made: Any = {
        "crm": (Literal[crms], Field(default=crms[0], description=old["crm"].description)),
        "person": (person_model, Field(description=old["person"].description)),
        "stamp": (stamp_model, Field(default_factory=stamp_model, description=old["stamp"].description)),
    }
    model = create_model("MappingFile", __base__=MappingFile, __doc__=MappingFile.__doc__, **made)
    model.added_keys = frozenset(key for kind in added for key in (kind.name, *kind.keys))
    return model


@dataclass(frozen=True)
class Catalog:
    """The names that mapping files may use: the installed providers and their identifiers.

    Attributes:
        offers: the channels that each provider sells.
        model: the mapping file's model with the identifiers' keys.
    """

    offers: Mapping[str, frozenset[Channel]]
    model: type[MappingFile]
