"""Lensmor: email and phone unlocks in batches, profiles, LinkedIn lookups and events.

By the vendor's public documentation, newest contract 0.27.0 (`docs/contracts/lensmor.openapi.yaml`, seen November
2026). Unlock state belongs to the account, so the free profile shows what a lost answer would have said. Prices,
schedules and assumptions about what is not documented stand in the constants below.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from connector.core.errors import LostAnswerError, NotThereError, RefusedError
from connector.core.identifiers import LINKEDIN
from connector.core.linkedin import is_of_another, profile_url
from connector.core.model import Channel, Identifier, IdentityMatch, Prices
from connector.core.person import Source
from connector.core.recover import ProviderState
from connector.core.vendor_values import plain_word
from connector.providers.connection import Connection
from connector.providers.http import Answer, VendorHttp
from connector.providers.interface import (
    ChannelStatus,
    IdentityResult,
    Item,
    ItemState,
    Provider,
    SkipReason,
    Submission,
    TaskReport,
    better,
    brought,
    shown,
    unknown_word,
)
from connector.providers.lensmor.bodies import (
    BusinessErrorIn200,
    ContactItem,
    CreditBalance,
    LinkedinAnswer,
    PersonnelEventPage,
    Profile,
    SkippedDetail,
    UnlockItem,
    UnlockRequest,
    UnlockSubmission,
    UnlockTask,
)
from connector.providers.lensmor.identifiers import EVENT_ID, PERSONNEL_ID
from connector.providers.lensmor.settings import CHANNELS, NAME, LensmorSettings
from connector.providers.registration import ProviderSettings

BATCH = 100  # valid under every contract seen; 0.27.0 would allow 2000
LOOKUP_TIMEOUT_S = 60.0  # by-linkedin is documented as slower than the other reads

_SUBMIT = {Channel.WORK_EMAIL: "/external/contacts/unlock", Channel.PHONE: "/external/contacts/unlock-phone"}
_TASK = {
    Channel.WORK_EMAIL: "/external/contacts/unlock-tasks/",
    Channel.PHONE: "/external/contacts/unlock-phone-tasks/",
}
_PRICE_SETTING = {Channel.WORK_EMAIL: "LENSMOR_EMAIL_CREDITS", Channel.PHONE: "LENSMOR_PHONE_CREDITS"}
# States in the form of `plain_word`, with synonyms that other versions of the contract may use.
_DONE = frozenset({"completed", "complete", "done", "success", "successful", "succeeded", "finished"})
_FAILED = frozenset({"failed", "failure", "error", "errored"})
_RUNNING = frozenset({"pending", "processing", "queued", "running", "inprogress", "started", "waiting"})
_UNLOCKED = _DONE | {"unlocked"}
_EMAIL_STATES: Mapping[str, ProviderState] = {
    "locked": ProviderState.NOT_BOUGHT,
    **dict.fromkeys(_RUNNING | {"unlocking"}, ProviderState.RUNNING),
    **dict.fromkeys(_UNLOCKED, ProviderState.DELIVERED),
    **dict.fromkeys(_FAILED, ProviderState.FAILED),
}
_PHONE_STATES: Mapping[str, ProviderState] = {
    **dict.fromkeys(_RUNNING, ProviderState.RUNNING),
    **dict.fromkeys(_DONE | {"ready"}, ProviderState.DELIVERED),
    **dict.fromkeys(_FAILED, ProviderState.FAILED),
}
_ACCEPTED = "accepted"
_TAKEN = frozenset({_ACCEPTED, "success", "successful", "succeeded"})


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
        self.source = Source(NAME, settings.account, prices, (PERSONNEL_ID,), (LINKEDIN,), EVENT_ID)
        self.poll_schedule_s = poll_schedule_s
        self._http = http

    def price_setting(self, channel: Channel) -> str:
        """One setting for each channel."""
        return _PRICE_SETTING[channel]

    def batch_size(self, channel: Channel) -> int:
        """100, whatever the channel."""
        del channel
        return BATCH

    def balance(self) -> int:
        """`totalBalance`; the other buckets do not add up the same way in every version."""
        balance = CreditBalance.model_validate(
            self._http.read("/external/credits/balance", operation="read balance").body
        )
        if balance.total_balance is None:
            raise RefusedError("lensmor's balance cannot be read: totalBalance is no number within the limits")
        return balance.total_balance

    def wait_turn(self) -> None:
        """Wait for the rate budget."""
        self._http.wait_turn()

    def submit(
        self, channel: Channel, people: Sequence[Identifier], grouping_key: str | None, attempt_id: str
    ) -> Submission:
        """One unlock request; the attempt id has no place in this vendor's request."""
        del attempt_id
        request = UnlockRequest(personnel_ids=tuple(one.value for one in people), event_id=grouping_key or None)
        try:
            answer = self._http.pay(_SUBMIT[channel], request.model_dump(exclude_none=True), f"unlock {channel}")
        except RefusedError as error:
            # Older contracts insist on an event (400); an event that is named and unknown is a 404.
            wants_event = error.status == (400 if grouping_key is None else 404)
            raise RefusedError(
                str(error),
                retry_after_s=error.retry_after_s,
                reread=error.reread,
                needs_grouping_key=wants_event,
                status=error.status,
            ) from error
        return _submission(answer, set(request.personnel_ids))

    def read_task(self, channel: Channel, task_id: str, people: Sequence[Identifier]) -> TaskReport:
        """The task's items by person, the best of each; unknown words count as running."""
        del people
        path = _TASK[channel] + quote(task_id, safe="")
        task = UnlockTask.model_validate(self._http.read(path, operation=f"read {channel} task").body)
        items: dict[Identifier, Item] = {}
        for row in task.items:
            if row.personnel_id is not None:
                person = _person(row.personnel_id)
                items[person] = better(items.get(person), _item(row, channel))
        word = plain_word(task.task_status)
        ended = word in _DONE | _FAILED
        return TaskReport(ended, items, "" if ended or word in _RUNNING else unknown_word(task.task_status))

    def read_person(self, person: Identifier) -> Mapping[Channel, ChannelStatus]:
        """Both channels' state in the profile; an answer about another person proves nothing."""
        answer = self._http.read("/external/personnel/profile", {"personnel_id": person.value}, operation="read person")
        profile = Profile.model_validate(answer.body)
        if profile.id != person.value:
            return dict.fromkeys(CHANNELS, ChannelStatus(ProviderState.UNREADABLE))
        return _statuses(profile)

    def resolve_identity(self, identifier: Identifier) -> IdentityResult:
        """The personnel id behind a LinkedIn name, with events and what is unlocked already.

        Raises:
            RefusedError: the answer names nobody, or shows the address of another profile. A profile that was renamed
                since the vendor read it is refused as well: see `is_of_another`.
        """
        params = {"linkedin_url": profile_url(identifier.value)}
        try:
            answer = self._http.read(
                "/external/personnel/events/by-linkedin", params, LOOKUP_TIMEOUT_S, operation="look up person"
            )
        except NotThereError:
            return IdentityResult(IdentityMatch(None))
        found = LinkedinAnswer.model_validate(answer.body)
        person = found.personnel
        if person is None or person.id is None:
            raise RefusedError("lensmor's answer to a LinkedIn lookup names no personnel id")
        if is_of_another(person.linkedin_url, identifier.value):
            raise RefusedError("lensmor's answer to a LinkedIn lookup is about another profile")
        return IdentityResult(IdentityMatch(_person(person.id), _event_ids(found.events)), _statuses(person))

    def grouping_keys_of(self, person: Identifier) -> tuple[str, ...]:
        """Events that the person is part of."""
        params = {"personnel_id": person.value}
        answer = self._http.read("/external/personnel/events", params, operation="list events of person")
        return _event_ids(PersonnelEventPage.model_validate(answer.body))

    def close(self) -> None:
        """Close idle connections."""
        self._http.close()


def _submission(answer: Answer, sent: set[str]) -> Submission:
    found = UnlockSubmission.model_validate(answer.body)
    task_id = found.task_id or found.job_id
    status = plain_word(found.status)
    if answer.status != 201 or status not in _TAKEN or (status == _ACCEPTED and task_id is None):
        raise LostAnswerError("lensmor accepted a paid request with an answer that cannot be read")
    skipped = dict.fromkeys(found.skipped_personnel_ids, SkipReason.UNEXPLAINED)
    skipped |= _reasons(found.skipped_detail)
    if task_id is None:
        skipped |= dict.fromkeys(sent - skipped.keys(), SkipReason.UNEXPLAINED)
    return Submission(task_id, {_person(one): reason for one, reason in skipped.items() if one in sent})


def _reasons(detail: SkippedDetail) -> Iterator[tuple[str, SkipReason]]:
    """The skipped people with their reasons; of a person in several lists, the last one counts."""
    for ids, reason in (
        (detail.already_unlocked_personnel_ids, SkipReason.ALREADY_UNLOCKED),
        (detail.unlocking_personnel_ids, SkipReason.UNLOCKING),
        (detail.invalid_personnel_ids, SkipReason.INVALID),
        (detail.missing_personnel_ids, SkipReason.MISSING),
        (detail.unlinked_personnel_ids, SkipReason.UNLINKED),
    ):
        yield from ((person, reason) for person in ids)


def _person(personnel_id: str) -> Identifier:
    return Identifier(PERSONNEL_ID.name, personnel_id)


def _item(row: UnlockItem, channel: Channel) -> Item:
    word = plain_word(row.status)
    if word in _UNLOCKED:
        return brought(channel, row.value(channel))
    if word in _FAILED:
        return Item(ItemState.FAILED, detail=row.error_code)
    return Item(ItemState.RUNNING, unknown_word="" if word in _RUNNING else unknown_word(row.status))


def _statuses(person: ContactItem) -> Mapping[Channel, ChannelStatus]:
    email, phone = person.contact_unlock_status, person.phone_unlock_status
    return {
        Channel.WORK_EMAIL: _status(Channel.WORK_EMAIL, email, _EMAIL_STATES, person),
        # Documented: no phone was ever asked for while the state is null.
        Channel.PHONE: ChannelStatus(ProviderState.NOT_BOUGHT)
        if phone is None
        else _status(Channel.PHONE, phone, _PHONE_STATES, person),
    }


def _status(
    channel: Channel, status: object, states: Mapping[str, ProviderState], person: ContactItem
) -> ChannelStatus:
    view = states.get(plain_word(status))
    if view is None:
        return ChannelStatus(ProviderState.UNREADABLE, unknown_word=unknown_word(status))
    return shown(channel, person.value(channel)) if view is ProviderState.DELIVERED else ChannelStatus(view)


def _event_ids(page: PersonnelEventPage) -> tuple[str, ...]:
    return tuple(found for event in page.items if (found := event.usable_id) is not None)


def _is_error(body: Mapping[str, Any]) -> bool:
    """Documented on other routes of Lensmor: 200 with an error body. Whether it took effect is not documented."""
    key = BusinessErrorIn200.model_validate(body).error_key
    return key not in (None, "")  # a tuple: a key of a wrong type is compared, never hashed


def connect(settings: ProviderSettings, connection: Connection) -> VendorHttp:
    """Requests to Lensmor with an account's key."""
    key = settings.api_key.get_secret_value() if settings.api_key else ""
    headers = {"Authorization": f"Bearer {key}", "x-call-source": "api"}
    return VendorHttp(NAME, settings.base_url, headers, connection, _is_error)
