"""Salesfinity: work and personal emails by LinkedIn address, one lookup a request.

By the vendor's public pages (`docs/contracts/salesfinity.openapi.yaml`, seen November 2026). One credit per lookup
that finds an email, charged at completion. There is no idempotency key and no search by `external_id`: a lost answer
is resolved by a callback or by the operator, never by asking again. Callbacks are asked for where this deployment can
be reached; what they say is read once more by GET, and polling goes on, more slowly.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import quote

from connector.core.errors import LostAnswerError, RefusedError
from connector.core.identifiers import LINKEDIN
from connector.core.linkedin import is_of_another, normalise, profile_url
from connector.core.model import Channel, Identifier, Prices
from connector.core.person import Source
from connector.core.vendor_values import plain_word
from connector.providers.connection import Connection
from connector.providers.http import VendorHttp
from connector.providers.interface import (
    ANOTHER_LOOKUP,
    EMAIL_TYPE,
    CallbackParts,
    Item,
    ItemState,
    Provider,
    Submission,
    TaskReport,
    brought,
    unknown_word,
)
from connector.providers.registration import ProviderSettings
from connector.providers.salesfinity.bodies import (
    EmailEnrichment,
    EmailEnrichmentCallback,
    EmailEnrichmentRequest,
    EnrichmentCredits,
)
from connector.providers.salesfinity.settings import CHANNELS, NAME, SalesfinitySettings

PRICE_CREDITS = 1
POLL_SCHEDULE_S = (5.0, 10.0, 20.0, 40.0, 60.0)
SAFETY_NET_S = (60.0, 300.0)  # between polls where a callback is expected
CallbackUrl = Callable[[str], str]  # from an attempt's id
_PATH = "/v1/api/enrichment/email"
# States in the form of `plain_word`, with synonyms that other versions of the contract may use.
_DONE = frozenset({"completed", "complete", "done", "success", "successful", "succeeded", "finished"})
_FAILED = frozenset({"failed", "failure", "error", "errored"})
_RUNNING = frozenset({"pending", "processing", "queued", "running", "inprogress", "started", "waiting"})
# What the vendor may call an email's type, in the form of `plain_word` and without a closing "email".
_WORK_WORDS = ("work", "business", "professional", "corporate", "company", "office", "employer", "job")
_PERSONAL_WORDS = ("personal", "private", "home", "free", "consumer")
_NO_TYPE = (None, "", "email")
_TYPE_WORDS: Mapping[str, Channel] = {
    **dict.fromkeys(_WORK_WORDS, Channel.WORK_EMAIL),
    **dict.fromkeys(_PERSONAL_WORDS, Channel.PERSONAL_EMAIL),
}
_TYPES: Mapping[Channel, Literal["work", "personal"]] = {Channel.WORK_EMAIL: "work", Channel.PERSONAL_EMAIL: "personal"}


class Salesfinity(Provider):
    """One Salesfinity team.

    Args:
        http: requests to the vendor.
        settings: the account name and request limit.
        callback_url: where the vendor can tell of a request's end; None where it cannot reach us.
    """

    keeps_records = False
    charges_failures = False
    parallel = 1  # limits are not documented: one request at a time
    calls_back = True  # a callback asked for earlier may still come, whatever is set now

    def __init__(
        self, http: VendorHttp, settings: SalesfinitySettings, callback_url: CallbackUrl | None = None
    ) -> None:
        prices = Prices(dict.fromkeys(CHANNELS, PRICE_CREDITS))
        self.source = Source(NAME, settings.account, prices, (LINKEDIN,))
        self.poll_schedule_s = SAFETY_NET_S if callback_url else POLL_SCHEDULE_S
        self._callback_url = callback_url
        self._http = http

    def batch_size(self, channel: Channel) -> int:
        """1: there is no batch form."""
        del channel
        return 1

    def balance(self) -> int:
        """Credits of the team."""
        found = EnrichmentCredits.model_validate(
            self._http.read("/v1/api/enrichment/credits", operation="read balance").body
        )
        if found.balance is None:
            raise RefusedError("salesfinity's balance cannot be read: balance is no number within the limits")
        return found.balance

    def wait_turn(self) -> None:
        """Wait for the rate budget."""
        self._http.wait_turn()

    def submit(
        self, channel: Channel, people: Sequence[Identifier], grouping_key: str | None, attempt_id: str
    ) -> Submission:
        """Start one lookup; the attempt id travels as `external_id`."""
        del grouping_key
        (person,) = people
        request = EmailEnrichmentRequest(
            linkedin_url=profile_url(person.value),
            type=_TYPES[channel],
            external_id=attempt_id,
            callback_url=None if self._callback_url is None else self._callback_url(attempt_id),
        )
        answer = self._http.pay(_PATH, request.model_dump(exclude_none=True), "request lookup")
        lookup = EmailEnrichment.model_validate(answer.body)
        if answer.status != 201 or lookup.id is None:
            raise LostAnswerError("salesfinity accepted a lookup with an answer that cannot be read")
        return Submission(lookup.id)

    def read_task(self, channel: Channel, task_id: str, people: Sequence[Identifier]) -> TaskReport:
        """The lookup's state, told of the one person it was made for.

        An answer about another lookup or another person proves nothing: it counts as running, and is reported.
        """
        (person,) = people
        lookup = self._lookup(task_id)
        if lookup.id not in (None, task_id) or is_of_another(lookup.linkedin_url, person.value):
            return TaskReport(ended=False, items={}, unknown_word=ANOTHER_LOOKUP)
        word = plain_word(lookup.status)
        if word in _DONE:
            return _completed(channel, person, lookup)
        if word == "notfound":
            return _ended(person, Item(ItemState.NOT_FOUND))
        if word in _FAILED:
            return _ended(person, Item(ItemState.FAILED))
        return TaskReport(ended=False, items={}, unknown_word="" if word in _RUNNING else unknown_word(lookup.status))

    def knows_task(self, task_id: str, attempt_id: str, person: Identifier) -> bool:
        """Whether the lookup echoes our id and was made for that person."""
        lookup = self._lookup(task_id)
        url = lookup.linkedin_url
        return lookup.external_id == attempt_id and url is not None and normalise(url) == person.value

    def close(self) -> None:
        """Close idle connections."""
        self._http.close()

    def _lookup(self, task_id: str) -> EmailEnrichment:
        path = f"{_PATH}/{quote(task_id, safe='')}"
        return EmailEnrichment.model_validate(self._http.read(path, operation="read lookup").body)


def _completed(channel: Channel, person: Identifier, lookup: EmailEnrichment) -> TaskReport:
    """The email that a lookup found, if it is of the type that was asked for; charged in either case.

    An email of a type that is neither may be of the other one: it is no value, and its type is reported.
    """
    email, kind = lookup.email.email, _type_of(lookup)
    if kind is None:
        return _ended(person, brought(channel, email))
    type_channel = _TYPE_WORDS.get(plain_word(kind).removesuffix("email"))
    if type_channel is channel:
        return _ended(person, brought(channel, email))
    word = "" if type_channel is not None else f"{EMAIL_TYPE}{unknown_word(kind)}"
    return TaskReport(ended=True, items={person: Item(ItemState.NO_VALUE)}, unknown_word=word)


def _type_of(lookup: EmailEnrichment) -> object:
    """What the answer calls the type of its email, the nearest statement first; None where it makes none."""
    kinds = (lookup.email.type, lookup.type, lookup.enrichment_type)
    return next((kind for kind in kinds if kind not in _NO_TYPE), None)


def _ended(person: Identifier, item: Item) -> TaskReport:
    return TaskReport(ended=True, items={person: item})


def parse_callback(body: Mapping[str, Any]) -> CallbackParts | None:
    """The lookup's `_id`, and our id as `external_id`; None for a body that is no callback of a lookup."""
    found = EmailEnrichmentCallback.model_validate(body)
    if found.id is None or not (found.external_id is None or isinstance(found.external_id, str)):
        return None
    return CallbackParts(found.id, found.external_id)


def connect(settings: ProviderSettings, connection: Connection) -> VendorHttp:
    """Requests to Salesfinity with an account's key."""
    key = settings.api_key.get_secret_value() if settings.api_key else ""
    return VendorHttp(NAME, settings.base_url, {"x-api-key": key}, connection)
