"""The client: searches in batches of 50, read by polling or after a callback.

An invented vendor has no documentation to cite. In a real provider, the docstring names the source and the date of
each outside fact, and says what is not documented and which assumption stands in its place.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from connector.core.errors import LostAnswerError, RefusedError
from connector.core.identifiers import LINKEDIN
from connector.core.limits import MAX_PRICE_CREDITS, balance_of
from connector.core.linkedin import profile_url
from connector.core.model import Channel, Identifier, Prices
from connector.core.person import Source
from connector.core.vendor_values import id_of, plain_word
from connector.providers.http import VendorHttp
from connector.providers.interface import (
    CallbackParts,
    Item,
    ItemState,
    Provider,
    Submission,
    TaskReport,
    brought,
    unknown_word,
)
from connector.providers.registration import BuiltWith, ProviderSettings, Registration
from findwell.identifiers import NAME_AND_DOMAIN, SEPARATOR

NAME = "findwell"
BATCH = 50
CHANNELS = frozenset({Channel.WORK_EMAIL, Channel.PHONE})
POLL_SCHEDULE_S = (5.0, 15.0, 30.0)
_WORDS = {Channel.WORK_EMAIL: "email", Channel.PHONE: "phone"}
_RUNNING, _DONE = "open", "done"


class FindwellSettings(ProviderSettings):
    """`FINDWELL_*`, and the caps that the connector has for every provider."""

    prefix: ClassVar[str] = "FINDWELL_"

    base_url: str = "https://api.findwell.example.com"
    email_credits: int = Field(default=2, ge=1, le=MAX_PRICE_CREDITS)
    phone_credits: int = Field(default=9, ge=1, le=MAX_PRICE_CREDITS)


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class _Search(_Body):
    id: str
    reference: str = ""
    state: str = _RUNNING


class _Started(_Body):
    """The answer to a search: how many people it took."""

    search: _Search
    accepted: int


class _Row(_Body):
    """One person of a search; what stands in `value` is no value before the connector has looked at it."""

    ref: str
    state: str
    value: object = None


class _Found(_Body):
    search: _Search
    results: list[_Row] = Field(default_factory=list)


class _Finished(_Body):
    """The body of a callback."""

    event: Literal["search.finished"]
    data: dict[str, object]


class Findwell(Provider):
    """One Findwell account.

    Args:
        http: requests to the vendor.
        settings: prices and the account's name.
        callback_url: where the vendor can call back; None where it cannot reach us.
    """

    keeps_records = False  # it has no record of a person that could be read for nothing
    charges_failures = False
    parallel = 2
    calls_back = True
    poll_schedule_s = POLL_SCHEDULE_S

    def __init__(
        self, http: VendorHttp, settings: FindwellSettings, callback_url: Callable[[str], str] | None = None
    ) -> None:
        prices = Prices({Channel.WORK_EMAIL: settings.email_credits, Channel.PHONE: settings.phone_credits})
        self.source = Source(NAME, settings.account, prices, accepts=(LINKEDIN, NAME_AND_DOMAIN))
        self._callback_url = callback_url
        self._http = http

    def price_setting(self, channel: Channel) -> str:
        """One setting for each channel."""
        return f"FINDWELL_{_WORDS[channel].upper()}_CREDITS"

    def batch_size(self, channel: Channel) -> int:
        """50, whatever the channel."""
        del channel
        return BATCH

    def balance(self) -> int:
        """Credits of the account."""
        account = self._http.read("/v2/account").body.get("account")
        found = balance_of(account.get("credits")) if isinstance(account, dict) else None
        if found is None:
            raise RefusedError("findwell's balance cannot be read: credits is no number within the limits")
        return found

    def wait_turn(self) -> None:
        """Wait for the rate budget."""
        self._http.wait_turn()

    def submit(
        self, channel: Channel, people: Sequence[Identifier], grouping_key: str | None, attempt_id: str
    ) -> Submission:
        """Start one search; the attempt id travels as `reference`."""
        del grouping_key
        body: dict[str, object] = {
            "find": _WORDS[channel],
            "reference": attempt_id,
            "people": [{"ref": _ref(person), **_named(person)} for person in people],
        }
        if self._callback_url is not None:
            body["notify"] = self._callback_url(attempt_id)
        answer = self._http.pay("/v2/searches", body)
        try:
            started = _Started.model_validate(answer.body)
        except ValidationError as error:
            raise LostAnswerError("findwell accepted a search with an answer that cannot be read") from error
        if answer.status != 202 or id_of(started.search.id) is None or started.accepted != len(people):
            raise LostAnswerError("findwell accepted a search with an answer that cannot be read")
        return Submission(started.search.id)

    def read_task(self, channel: Channel, task_id: str, people: Sequence[Identifier]) -> TaskReport:
        """The search with the people of it that are waited for; an answer about another search proves nothing."""
        found = self._search(task_id)
        if found is None or found.search.id != task_id:
            return TaskReport(ended=False, items={}, unknown_word=unknown_word(None))
        by_ref = {row.ref: row for row in found.results}
        items = {person: _item(channel, row) for person in people if (row := by_ref.get(_ref(person))) is not None}
        word = plain_word(found.search.state)
        strange = "" if word in {_RUNNING, _DONE} else unknown_word(found.search.state)
        return TaskReport(word == _DONE, items, strange)

    def knows_task(self, task_id: str, attempt_id: str, person: Identifier) -> bool:
        """Whether the search echoes our id and has that person."""
        found = self._search(task_id)
        if found is None or found.search.id != task_id or found.search.reference != attempt_id:
            return False
        return any(row.ref == _ref(person) for row in found.results)

    def close(self) -> None:
        """Close idle connections."""
        self._http.close()

    def _search(self, task_id: str) -> _Found | None:
        """A search as the vendor shows it; None for an answer that is none."""
        body = self._http.read(f"/v2/searches/{quote(task_id, safe='')}").body
        try:
            return _Found.model_validate(body)
        except ValidationError:
            return None


def _ref(person: Identifier) -> str:
    """A name for the person within a search: the same in every process, and nothing that could be read."""
    return hashlib.sha256(f"{person.kind}:{person.value}".encode()).hexdigest()[:24]


def _named(person: Identifier) -> dict[str, str]:
    if person.kind == LINKEDIN.name:
        return {"linkedin": profile_url(person.value)}
    name, _, domain = person.value.partition(SEPARATOR)
    return {"name": name, "domain": domain}


def _item(channel: Channel, row: _Row) -> Item:
    match plain_word(row.state):
        case "found":
            return brought(channel, row.value)
        case "none":
            return Item(ItemState.NOT_FOUND)
        case "error":
            return Item(ItemState.FAILED)
        case "open":
            return Item(ItemState.RUNNING)
        case _:
            return Item(ItemState.RUNNING, unknown_word=unknown_word(row.state))


def parse_callback(body: Mapping[str, object]) -> CallbackParts | None:
    """The search's id and our reference; None for any other body."""
    try:
        found = _Finished.model_validate(body)
    except ValidationError:
        return None
    task_id, reference = id_of(found.data.get("search")), found.data.get("reference")
    if task_id is None or not isinstance(reference, str):
        return None
    return CallbackParts(task_id, reference)


def _build(settings: ProviderSettings, built_with: BuiltWith) -> Provider:
    if not isinstance(settings, FindwellSettings):
        raise TypeError("Findwell is built from FindwellSettings")
    key = settings.api_key.get_secret_value() if settings.api_key else ""
    http = VendorHttp(NAME, settings.base_url, {"Authorization": f"Token {key}"}, built_with.connection)
    return Findwell(http, settings, built_with.callback_url)


REGISTRATION = Registration(
    name=NAME,
    channels=CHANNELS,
    keeps_records=Findwell.keeps_records,
    settings=FindwellSettings,
    build=_build,
    identifiers=(LINKEDIN, NAME_AND_DOMAIN),
    parse_callback=parse_callback,
)
