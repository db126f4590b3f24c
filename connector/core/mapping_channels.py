"""The part of a mapping file that says what to buy: channels, their providers, fields and write policies."""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from functools import cached_property

from pydantic import Field

from connector.core.mapping_base import REGION, FieldName, Strict
from connector.core.model import CONTACT_CHANNELS, Channel


class WritePolicy(StrEnum):
    """Whether a field that already has a value may be overwritten."""

    IF_EMPTY = "if_empty"
    OVERWRITE = "overwrite"


class PhoneFormat(StrEnum):
    """The format in which a phone number is written."""

    E164 = "e164"
    INTERNATIONAL = "international"
    AS_GIVEN = "as_given"


class ChannelStamp(Strict):
    """Fields for the origin of one channel's value, written together with the value."""

    source: FieldName | None = Field(default=None, description="The provider that delivered this value.")
    at: FieldName | None = Field(default=None, description="Date and time at which the value was written.")
    run: FieldName | None = Field(default=None, description="The id of the run that wrote the value.")

    def fields(self) -> Iterator[tuple[str, str]]:
        """The mapped stamps, as (stamp, field)."""
        for stamp in type(self).model_fields:
            name = getattr(self, stamp)
            if name is not None:
                yield stamp, name


class ChannelMapping(Strict):
    """One channel: its providers, and the field that receives the value."""

    sources: tuple[str, ...] = Field(
        alias="from",
        min_length=1,
        strict=False,
        description="Providers in the order in which they are queried; the next one only if the one before ended "
        "without a value.",
    )
    field: FieldName = Field(description="The field that receives the value.")
    write: WritePolicy = Field(
        default=WritePolicy.IF_EMPTY,
        strict=False,
        description="if_empty writes only into an empty field; overwrite also replaces a value, unless a person has "
        "changed it since.",
    )
    empty_when: FieldName | None = Field(
        default=None, description="If this field is set, the value counts as empty (for example, a bounced email)."
    )
    status: FieldName | None = Field(default=None, description="Field that receives the channel's status.")
    opt_out: FieldName | None = Field(
        default=None, description="If this field is true, nothing is bought and nothing is written."
    )
    stamp: ChannelStamp | None = Field(
        default=None, description="Fields for the source, the time and the run of this channel's value; all optional."
    )

    def stamps(self) -> Iterator[tuple[str, str]]:
        """The mapped stamps of the value, as (stamp, field)."""
        return self.stamp.fields() if self.stamp is not None else iter(())

    @property
    def is_email(self) -> bool:
        """Whether the channel's values are email addresses, which are compared without case."""
        return True


class EmailChannel(ChannelMapping):
    """A channel whose values are email addresses."""


class PhoneChannel(ChannelMapping):
    """The channel whose values are phone numbers."""

    format: PhoneFormat = Field(
        default=PhoneFormat.E164,
        strict=False,
        description="e164 (+14155550123), international (+1 415-555-0123) or as_given; a number that cannot be "
        "parsed is written as given.",
    )
    default_region: str | None = Field(
        default=None, pattern=REGION, description="Country of numbers without +, such as US."
    )

    @property
    def is_email(self) -> bool:
        """False: phone numbers are compared as written."""
        return False


class Channels(Strict):
    """The channels to buy; leave a channel out to buy nothing."""

    work_email: EmailChannel | None = Field(default=None, description="The business email address.")
    personal_email: EmailChannel | None = Field(default=None, description="The private email address.")
    phone: PhoneChannel | None = Field(default=None, description="The mobile phone number.")

    @cached_property
    def _mapped(self) -> dict[Channel, ChannelMapping]:
        found = {channel: getattr(self, channel.value) for channel in CONTACT_CHANNELS}
        return {channel: rules for channel, rules in found.items() if rules is not None}

    def items(self) -> Iterable[tuple[Channel, ChannelMapping]]:
        """The mapped channels, in a fixed order."""
        return self._mapped.items()

    def get(self, channel: Channel) -> ChannelMapping | None:
        """The mapping of a channel; None if it is not mapped."""
        return self._mapped.get(channel)
