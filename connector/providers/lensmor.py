"""Lensmor: email and phone unlocks in batches, profiles, LinkedIn lookups and events.

By the vendor's public documentation, newest contract 0.27.0 (`docs/contracts/lensmor.openapi.yaml`, seen November
2026). Unlock state belongs to the account, so the free profile shows what a lost answer would have said. Prices,
schedules and assumptions about what is not documented stand in the constants below.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from pydantic import Field

from connector.core.errors import LostAnswerError, NotThereError, RefusedError
from connector.core.linkedin import profile_url
from connector.core.model import Channel, Lookup, Prices
from connector.core.person import IdentifiedBy, Source
from connector.core.recover import View
from connector.providers.http import Answer, VendorHttp, whole
from connector.providers.interface import (
    Found,
    Item,
    ItemState,
    Provider,
    Sight,
    SkipReason,
    Submission,
    TaskReport,
)
from connector.providers.settings import BuiltWith, ProviderSettings, Registration, provider_config

NAME = "lensmor"
BATCH = 100  # valid under every contract seen; 0.27.0 would allow 2000
LOOKUP_TIMEOUT_S = 60.0  # by-linkedin is documented as slower than the other reads
CHANNELS = frozenset({Channel.WORK_EMAIL, Channel.PHONE})

_SUBMIT = {Channel.WORK_EMAIL: "/external/contacts/unlock", Channel.PHONE: "/external/contacts/unlock-phone"}
_TASK = {
    Channel.WORK_EMAIL: "/external/contacts/unlock-tasks/",
    Channel.PHONE: "/external/contacts/unlock-phone-tasks/",
}
_VALUE = {Channel.WORK_EMAIL: "email", Channel.PHONE: "phone"}
_SKIPS = {
    "already_unlocked_personnel_ids": SkipReason.ALREADY_UNLOCKED,
    "unlocking_personnel_ids": SkipReason.UNLOCKING,
    "invalid_personnel_ids": SkipReason.INVALID,
    "missing_personnel_ids": SkipReason.MISSING,
    "unlinked_personnel_ids": SkipReason.UNLINKED,
}
_EMAIL_STATES: Mapping[object, View] = {
    "locked": View.NOT_BOUGHT,
    "unlocking": View.RUNNING,
    "unlocked": View.DELIVERED,
    "failed": View.FAILED,
}
_PHONE_STATES: Mapping[object, View] = {
    None: View.NOT_BOUGHT,
    "processing": View.RUNNING,
    "ready": View.DELIVERED,
    "failed": View.FAILED,
}
_ENDED = ("completed", "failed")  # tuples: a word of a wrong type is compared, never hashed
_TAKEN = ("accepted", "success")


class LensmorSettings(ProviderSettings):
    """`LENSMOR_*` and the account's caps."""

    model_config = provider_config("LENSMOR_")

    base_url: str = "https://platform.lensmor.com"
    email_credits: int = Field(default=15, ge=0)
    phone_credits: int = Field(default=150, ge=0)
    max_per_day: int | None = Field(default=None, ge=0, validation_alias="CONNECTOR_MAX_CREDITS_PER_DAY_LENSMOR")
    max_per_month: int | None = Field(default=None, ge=0, validation_alias="CONNECTOR_MAX_CREDITS_PER_MONTH_LENSMOR")


class Lensmor(Provider):
    """One Lensmor account.

    Args:
        http: requests to the vendor.
        settings: prices, account name and request limit.
        poll_schedule_s: seconds before each poll of a task.
    """

    keeps_records = True
    charges_failures = True  # when Lensmor charges is not documented: assumed at submission, without refund
    parallel = 4

    def __init__(self, http: VendorHttp, settings: LensmorSettings, poll_schedule_s: tuple[float, ...]) -> None:
        prices = Prices({Channel.WORK_EMAIL: settings.email_credits, Channel.PHONE: settings.phone_credits})
        self.source = Source(NAME, settings.account, prices, IdentifiedBy.PERSONNEL_ID, looks_up_linkedin=True)
        self.poll_schedule_s = poll_schedule_s
        self._http = http

    def batch_size(self, channel: Channel) -> int:
        """100, whatever the channel."""
        del channel
        return BATCH

    def balance(self) -> int:
        """`totalBalance`; the other buckets do not add up the same way in every version."""
        total = whole(self._http.read("/external/credits/balance").body.get("totalBalance"))
        if total is None:
            raise RefusedError("lensmor's balance cannot be read: totalBalance is not a number")
        return total

    def wait_turn(self) -> None:
        """Wait for the rate budget."""
        self._http.wait_turn()

    def submit(self, channel: Channel, people: list[str], event_id: str | None, attempt_id: str) -> Submission:
        """One unlock request; the attempt id has no place in this vendor's request."""
        del attempt_id
        body: dict[str, Any] = {"personnel_ids": people}
        if event_id:
            body["event_id"] = event_id
        try:
            answer = self._http.pay(_SUBMIT[channel], body)
        except RefusedError as error:
            # Older contracts insist on an event (400); an event that is named and unknown is a 404.
            wants_event = error.status == (400 if event_id is None else 404)
            raise RefusedError(
                str(error),
                retry_after_s=error.retry_after_s,
                reread=error.reread,
                needs_event=wants_event,
                status=error.status,
            ) from error
        return _submission(answer, set(people))

    def read_task(self, channel: Channel, task_id: str, people: list[str]) -> TaskReport:
        """The task's items by person; unknown words count as running."""
        del people
        body = self._http.read(_TASK[channel] + quote(task_id, safe="")).body
        rows = body.get("items")
        items: dict[str, Item] = {}
        for row in rows if isinstance(rows, list) else []:
            person = row.get("personnelId") if isinstance(row, dict) else None
            if isinstance(person, str | int) and not isinstance(person, bool):
                items[str(person)] = _item(row, _VALUE[channel])
        return TaskReport(ended=body.get("taskStatus") in _ENDED, items=items)

    def read_person(self, person: str) -> Mapping[Channel, Sight]:
        """Both channels' state in the profile; an answer about anybody else tells nothing, so all counts as running."""
        body = self._http.read("/external/personnel/profile", {"personnel_id": person}).body
        if str(body.get("id")) != person:
            return dict.fromkeys(CHANNELS, Sight(View.RUNNING))
        return _sights(body)

    def look_up(self, linkedin: str) -> Found:
        """Who is behind the LinkedIn name, with events and what is unlocked already."""
        params = {"linkedin_url": profile_url(linkedin)}
        try:
            body = self._http.read("/external/personnel/events/by-linkedin", params, LOOKUP_TIMEOUT_S).body
        except NotThereError:
            return Found(Lookup(None))
        person = body.get("personnel")
        person_id = str(person.get("id", "")) if isinstance(person, dict) else ""
        if not isinstance(person, dict) or not (person_id.isascii() and person_id.isdecimal()):
            raise RefusedError("lensmor's answer to a LinkedIn lookup names no personnel id")
        return Found(Lookup(person_id, _event_ids(body.get("events"))), _sights(person))

    def events_of(self, person: str) -> tuple[str, ...]:
        """Events that the person is part of."""
        return _event_ids(self._http.read("/external/personnel/events", {"personnel_id": person}).body)

    def close(self) -> None:
        """Close idle connections."""
        self._http.close()


def _submission(answer: Answer, sent: set[str]) -> Submission:
    body = answer.body
    task_id = _task_id(body)
    status = body.get("status")
    if answer.status != 201 or status not in _TAKEN or (status == "accepted" and task_id is None):
        raise LostAnswerError("lensmor accepted a paid request with an answer that cannot be read")
    skipped: dict[str, SkipReason] = {}
    for person in _texts(body.get("skipped_personnel_ids")):
        skipped[person] = SkipReason.UNEXPLAINED
    detail = body.get("skipped_detail")
    for key, reason in _SKIPS.items():
        for person in _texts(detail.get(key)) if isinstance(detail, dict) else []:
            skipped[person] = reason
    if task_id is None:
        for person in sent - skipped.keys():
            skipped[person] = SkipReason.UNEXPLAINED
    return Submission(task_id, {person: reason for person, reason in skipped.items() if person in sent})


def _task_id(body: Mapping[str, Any]) -> str | None:
    for key in ("task_id", "job_id"):
        found = body.get(key)
        if isinstance(found, str | int) and not isinstance(found, bool) and str(found):
            return str(found)
    return None


def _item(row: Mapping[str, Any], value_key: str) -> Item:
    status, value = row.get("status"), row.get(value_key)
    if status == "unlocked":
        text = value.strip() if isinstance(value, str) else ""
        return Item(ItemState.DELIVERED, text) if text else Item(ItemState.NO_VALUE)
    if status == "failed":
        return Item(ItemState.FAILED, detail=_word(row.get("errorCode")))
    return Item(ItemState.RUNNING)


def _sights(person: Mapping[str, Any]) -> Mapping[Channel, Sight]:
    return {
        Channel.WORK_EMAIL: _sight(person.get("contactUnlockStatus"), _EMAIL_STATES, person.get("email")),
        Channel.PHONE: _sight(person.get("phoneUnlockStatus"), _PHONE_STATES, person.get("phone")),
    }


def _sight(word: object, states: Mapping[object, View], value: object) -> Sight:
    text = value.strip() if isinstance(value, str) else ""
    view = states.get(word, View.RUNNING) if word is None or isinstance(word, str) else View.RUNNING
    if view is not View.DELIVERED:
        return Sight(view)
    return Sight(View.DELIVERED, text) if text else Sight(View.NO_VALUE)


def _event_ids(page: object) -> tuple[str, ...]:
    """`eventId` of each event of a page; `id` where an older answer has only that."""
    rows = page.get("items") if isinstance(page, dict) else None
    rows = rows if isinstance(rows, list) else []
    ids = [row.get("eventId") or row.get("id") for row in rows if isinstance(row, dict)]
    return tuple(str(found) for found in ids if isinstance(found, str | int) and str(found))


def _texts(value: object) -> list[str]:
    rows = value if isinstance(value, list) else []
    return [str(row) for row in rows if isinstance(row, str | int) and not isinstance(row, bool)]


def _word(value: object) -> str:
    """A vendor's code for display: one short word, so that nothing else can slip into reasons."""
    return value[:60] if isinstance(value, str) and value.replace("_", "").replace("-", "").isalnum() else ""


def _build(http: VendorHttp, settings: ProviderSettings, built_with: BuiltWith) -> Provider:
    if not isinstance(settings, LensmorSettings):
        raise TypeError("Lensmor is built from LensmorSettings")
    return Lensmor(http, settings, built_with.poll_schedule_s)


REGISTRATION = Registration(
    channels=CHANNELS,
    keeps_records=Lensmor.keeps_records,
    settings=LensmorSettings,
    headers=lambda key: {"Authorization": f"Bearer {key}", "x-call-source": "api"},
    build=_build,
)
