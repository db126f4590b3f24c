"""Lensmor's JSON bodies, named as in `docs/contracts/lensmor.openapi.yaml` (contract 0.27.0, seen November 2026).

Only the members that the connector reads or sends are here.
"""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, model_validator
from pydantic.alias_generators import to_camel

from connector.core.digits import digits_of
from connector.core.limits import is_event_id
from connector.core.model import Channel
from connector.core.printable import one_line
from connector.core.vendor_values import id_of, plain_word
from connector.providers.bodies import (
    AnswerBody,
    Balance,
    Count,
    Id,
    Ids,
    OrEmpty,
    OrNone,
    Price,
    RequestBody,
    Rows,
    Text,
)

LONGEST_TEXT = 200  # of a name or a place
LONGEST_CODE = 60


def _line_of(value: object) -> str:
    return one_line(value, LONGEST_TEXT).strip() if isinstance(value, str) else ""


def _code_of(value: object) -> str:
    is_code = isinstance(value, str) and value.replace("_", "").replace("-", "").isalnum()
    return value[:LONGEST_CODE] if isinstance(value, str) and is_code else ""


def _person_digits_of(value: object) -> str | None:
    found = digits_of(value)
    return found if isinstance(found, str) else None


def _is_true(value: object) -> bool:
    return value is True


Line = Annotated[str, BeforeValidator(_line_of)]  # a text for people, in one line; empty where it is no text
Code = Annotated[str, BeforeValidator(_code_of)]  # one short word, so that nothing else can slip into reasons; or empty
PersonDigits = Annotated[str | None, BeforeValidator(_person_digits_of)]  # spelt in any way that `digits_of` reads
IsTrue = Annotated[bool, BeforeValidator(_is_true)]  # only JSON's `true` is a yes


class _CamelBody(AnswerBody):
    """Lensmor names members `likeThis`, except in the answer to an unlock."""

    model_config = ConfigDict(alias_generator=to_camel)


class _AnySpellingBody(AnswerBody):
    """Members that are found by their names in any spelling: `skipped_detail` and `skippedDetail` are one."""

    model_config = ConfigDict(alias_generator=plain_word)

    @model_validator(mode="before")
    @classmethod
    def _by_plain_name(cls, members: object) -> object:
        if not isinstance(members, Mapping):
            return members
        return {plain_word(name): member for name, member in members.items()}


class BusinessErrorIn200(_CamelBody):
    """Any 2xx body; one that names an error key is an error."""

    error_key: object = None


class CreditBalance(_CamelBody):
    """The total, the only number of a balance that means the same in every version of the contract."""

    total_balance: Balance = None


class UnlockRequest(RequestBody):
    """The request to unlock the emails or the phones of up to 100 people."""

    personnel_ids: tuple[str, ...]
    event_id: str | None = None


class SkippedDetail(_AnySpellingBody):
    """The skipped people by reason; every list is optional."""

    already_unlocked_personnel_ids: Ids = ()
    unlocking_personnel_ids: Ids = ()
    invalid_personnel_ids: Ids = ()
    missing_personnel_ids: Ids = ()
    unlinked_personnel_ids: Ids = ()


class UnlockSubmission(_AnySpellingBody):
    """The answer to an unlock request: the task, and the people who were skipped.

    Attributes:
        job_id: documented as another name of `task_id`.
    """

    status: object = None
    task_id: Id = None
    job_id: Id = None
    skipped_personnel_ids: Ids = ()
    skipped_detail: OrEmpty[SkippedDetail] = SkippedDetail()


class _ContactBody(_CamelBody):
    """A person's values, as sent: `brought` and `shown` (`providers/interface.py`) decide whether they are usable."""

    email: object = None
    phone: object = None

    def value(self, channel: Channel) -> object:
        """The member that belongs to a channel."""
        return self.phone if channel is Channel.PHONE else self.email


class UnlockItem(_ContactBody):
    """One person's line in a task."""

    personnel_id: Id = None
    status: object = None
    error_code: Code = ""


class UnlockTask(_CamelBody):
    """A task that unlocks emails, or one that unlocks phones."""

    task_status: object = None
    items: Rows[UnlockItem] = ()


class ContactItem(_ContactBody):
    """A person with both channels' states."""

    contact_unlock_status: object = None
    phone_unlock_status: object = None


class Profile(ContactItem):
    """A person as asked for by id."""

    id: Id = None


class LinkedinPerson(ContactItem):
    """The person behind a LinkedIn address."""

    id: PersonDigits = None
    linkedin_url: Text = None


class EventRef(_CamelBody):
    """The two ids of an event, as sent."""

    event_id: object = None
    id: object = None

    @property
    def usable_id(self) -> str | None:
        """`eventId`, or `id` where an older answer has only that; None where neither is within the limits."""
        found = (id_of(self.event_id or None), id_of(self.id or None))  # 0 is no id
        return next((one for one in found if one is not None and is_event_id(one)), None)

    def is_about(self, event_id: str) -> bool:
        """Whether one of the two is this id."""
        return event_id in {id_of(self.event_id), id_of(self.id)}


class NamedEvent(EventRef):
    """An event as the answer to its unlock shows it."""

    name: Line = ""


class EventItem(NamedEvent):
    """An event of the catalogue."""

    date_start: Line = ""
    date_end: Line = ""
    venue: Line = ""
    city: Line = ""
    country: Line = ""
    exhibitor_count: Count = None


class EventPage(_CamelBody):
    """A page of the catalogue."""

    items: Rows[EventItem] = ()
    total: Count = None


class EventAnswer(_CamelBody):
    """One event of the catalogue, as asked for by id."""

    event: OrNone[EventItem] = None


class PersonnelEventPage(_CamelBody):
    """A page of a person's events."""

    items: Rows[EventRef] = ()


class LinkedinAnswer(_CamelBody):
    """The person behind a LinkedIn address, with the first page of their events."""

    personnel: OrNone[LinkedinPerson] = None
    events: OrEmpty[PersonnelEventPage] = PersonnelEventPage()


class AccessCounts(_CamelBody):
    """How many people an event has, shows, and hides until it is unlocked."""

    actual_total: Count = None
    visible_total: Count = None
    remaining_locked_count: Count = None


class AccessOffer(_CamelBody):
    """The price of an unlock now, as sent: a missing price is not the same as an unreadable one."""

    credits: object = None


class AccessSemantics(_CamelBody):
    """The account's access to an event."""

    access_mode: Line = ""
    counts: OrEmpty[AccessCounts] = AccessCounts()
    unlock: OrEmpty[AccessOffer] = AccessOffer()


class PersonnelPage(_CamelBody):
    """A page of an event's people, of which only the access matters."""

    semantics: OrEmpty[AccessSemantics] = AccessSemantics()


class EventUnlockResult(_CamelBody):
    """The answer to the unlock of an event."""

    success: IsTrue = False
    already_unlocked: IsTrue = False
    credits_used: Price = None
    balance_after: OrEmpty[CreditBalance] = CreditBalance()
    event: OrEmpty[NamedEvent] = NamedEvent()

    def is_about(self, event_id: str) -> bool:
        """Whether the event is the one with this id. An event without the member `eventId` counts as that one."""
        return "event_id" not in self.event.model_fields_set or self.event.is_about(event_id)
