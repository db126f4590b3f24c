"""Lensmor's site over HTTP: the routes of `docs/contracts/lensmor.openapi.yaml`, built only from the contract.

Left out, although the contract mentions them, are the analysis of LinkedIn activity and the paid searches, which the
connector must never call. Such requests get 404 and are logged as `unknown`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from starlette.applications import Starlette
from starlette.requests import Request

from connector.simulator import lensmor_filters as filters
from connector.simulator import lensmor_input as read
from connector.simulator import lensmor_views as show
from connector.simulator import spoil
from connector.simulator.charges import ChargeLedger
from connector.simulator.clock import SimClock
from connector.simulator.faults import Faults
from connector.simulator.front import Answer, Call, Caller, Front, RefusalError
from connector.simulator.lensmor_state import PRICES, LensmorState, NoCreditsError
from connector.simulator.people import SimEvent, SimPerson
from connector.simulator.requests_log import RequestLog

ERRORS = {
    400: ("INVALID_REQUEST", "Invalid request"),
    401: ("INVALID_API_KEY", "Invalid API key"),
    402: ("INSUFFICIENT_CREDITS", "Insufficient credits"),
    404: ("NOT_FOUND", "Resource not found"),
    409: ("STATE_CONFLICT", "Conflicting state"),
    422: ("LEAD_SELECTION_LIMIT_EXCEEDED", "Too many selected people"),
    429: ("RATE_LIMIT_EXCEEDED", "Rate limit exceeded"),
}
Item = TypeVar("Item")

PRECHECK_KINDS = {"unlock_contact_emails": "email", "unlock_contact_phones": "phone"}
PRECHECK_REASONS = {
    "already_unlocked_personnel_ids": "already_unlocked",
    "unlocking_personnel_ids": "unlock_in_progress",
}


class LensmorSite(LensmorState):
    """The simulated Lensmor.

    Attributes:
        keys: API key -> account.
        faults: the armed faults; this site's name in them is `lensmor`.
        max_batch: most ids in one unlock request; more answer 422. 100 up to contract 0.24.3, 2000 in 0.27.0.
        require_event: refuse an unlock without `event_id`, as contracts up to 0.24.3 did.
        app: the site as an ASGI application.
        actions: the supported fault actions: those of `spoil` and two of its own. `error_in_2xx`: a business error with
            a good status, no effect. `extra_skip` (`params`: `persons`, a list of personnel ids): these people of a
            submission are not bought and are listed in `skipped_personnel_ids` without a reason.
    """

    actions = spoil.COMMON_ACTIONS | {"error_in_2xx", "extra_skip"}

    def __init__(self, clock: SimClock, faults: Faults, charges: ChargeLedger | None = None) -> None:
        super().__init__(clock, charges)
        self.faults = faults
        self.keys: dict[str, str] = {"sim-lensmor-key": "default"}
        self.max_batch = 2000
        self.require_event = False
        self._front = _LensmorFront(self, faults)
        self.app = self._front.application()

    @property
    def rate_limit(self) -> int | None:
        """Requests per key in 60 simulated seconds; None for no limit and no rate headers."""
        return self._front.rate_limit

    @rate_limit.setter
    def rate_limit(self, requests: int | None) -> None:
        self._front.rate_limit = requests

    @property
    def requests(self) -> RequestLog:
        """The log of requests to this site."""
        return self._front.requests


class _LensmorFront(Front):
    """The routes."""

    vendor = "lensmor"
    documented_headers = True
    state_words = ("taskStatus", "contactUnlockStatus", "phoneUnlockStatus")
    actions = LensmorSite.actions

    def __init__(self, site: LensmorSite, faults: Faults) -> None:
        super().__init__(site.clock, faults, site.lock)
        self.site = site
        self.rate_limit = 120

    def application(self) -> Starlette:
        """All routes of the contract."""
        route = self.route
        return Starlette(
            routes=[
                route("GET", "/external/credits/balance", "getCreditsBalance", self._balance),
                route("POST", "/external/actions/precheck", "precheckAction", self._precheck),
                route("GET", "/external/events/list", "listEvents", self._list_events),
                route("GET", "/external/events/{id}", "getEvent", self._get_event),
                route("POST", "/external/events/{id}/unlock", "unlockEvent", self._unlock_event),
                route("GET", "/external/personnel/list", "listPersonnel", self._list_personnel),
                route("GET", "/external/personnel/profile", "getPersonnelProfile", self._profile),
                route("GET", "/external/personnel/events", "listPersonnelEvents", self._personnel_events),
                route("GET", "/external/personnel/events/by-linkedin", "findPersonByLinkedin", self._by_linkedin),
                route("GET", "/external/contacts/search", "searchContacts", self._search),
                route("POST", "/external/contacts/unlock", "submitEmailUnlock", self._submit("email")),
                route("POST", "/external/contacts/unlock-phone", "submitPhoneUnlock", self._submit("phone")),
                route("GET", "/external/contacts/unlock-tasks/{taskId}", "getEmailUnlockTask", self._task("email")),
                route(
                    "GET", "/external/contacts/unlock-phone-tasks/{taskId}", "getPhoneUnlockTask", self._task("phone")
                ),
                self.unknown_route(),
            ]
        )

    def authenticate(self, request: Request) -> Caller:
        """The account behind `Authorization: Bearer <key>`."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        account = self.site.keys.get(key.strip())
        if scheme.lower() != "bearer" or account is None:
            raise RefusalError(401)
        return Caller(key.strip(), account)

    def error_body(self, refusal: RefusalError, request_id: str) -> object:
        """An `ApiError`; statuses outside the contract get the key INTERNAL_ERROR."""
        key, message = ERRORS.get(refusal.status, ("INTERNAL_ERROR", "Unexpected error"))
        body = {"code": refusal.status, "message": refusal.message or message, "errorKey": key, "traceId": request_id}
        return body if refusal.details is None else {**body, "details": refusal.details}

    def subjects(self, call: Call) -> frozenset[str]:
        """The personnel ids in the request, in its task, or of the person whom its LinkedIn address matches."""
        if isinstance(call.body, dict):
            ids = call.body.get("personnel_ids")
            return frozenset(one for one in ids if isinstance(one, str)) if isinstance(ids, list) else frozenset()
        if "taskId" in call.path:
            return self.site.people_of_task(call.path["taskId"])
        found = call.query.get("personnel_id") or self._matched(call.query)
        return frozenset() if found is None else frozenset({found})

    def _matched(self, query: Mapping[str, str]) -> str | None:
        """The personnel id for a LinkedIn address in the query; None without one, or if it matches no person."""
        if not 1 <= len(query.get("linkedin_url", "")) <= 500:
            return None
        name = read.linkedin_name(query)
        return None if name is None else self.site.person_of_linkedin.get(name)

    def settle(self) -> None:
        """Write the refunds that are due."""
        self.site.settle()

    def _balance(self, call: Call) -> Answer:
        return Answer(200, show.balance(self.site, call.account))

    def _precheck(self, call: Call) -> Answer:
        action, params = read.precheck(call.body)
        credits_needed, reason = self._precheck_decision(call.account, action, params)
        allowed = reason == "ok"
        decision: show.JsonObject = {
            "ok": True,
            "action_type": action,
            "allowed": allowed,
            "should_charge": allowed,
            "credits": credits_needed,
            "reason_code": reason,
            "biz_code": "",
            "detail": {},
        }
        return Answer(200, decision)

    def _precheck_decision(self, account: str, action: str, params: Mapping[str, object]) -> tuple[int, str]:
        kind = PRECHECK_KINDS.get(action)
        ids = params.get("personnel_ids")
        if kind is None:
            return 0, "unsupported_action"
        if not isinstance(ids, list) or not ids:
            return 0, "invalid_subject"
        if len(ids) > self.site.max_batch:
            return 0, "exceed_max_unlock_limit"
        event = self.site.event(str(params.get("event_id", "")))
        if event is None and "event_id" in params:
            return 0, "not_found"
        sorted_out = self.site.sort_out(account, kind, [str(one) for one in ids], event)
        price = PRICES[kind] * len(sorted_out.chargeable)
        if not price:
            return 0, next(
                (word for reason, word in PRECHECK_REASONS.items() if reason in sorted_out.skipped), "not_found"
            )
        return price, "ok" if self.site.balance_of(account) >= price else "insufficient_balance"

    def _list_events(self, call: Call) -> Answer:
        number, size = read.page(call.query, 100, 20)
        found = list(filter(filters.events(call.query), self.site.events.values()))
        items = [show.event_item(event) for event in _cut(found, number, size)]
        return Answer(200, show.page(items, len(found), number, size))

    def _get_event(self, call: Call) -> Answer:
        return Answer(200, {"event": show.event_item(self._event(call.path["id"]))})

    def _unlock_event(self, call: Call) -> Answer:
        event = self._event(call.path["id"])
        try:
            used = self.site.buy_event(call.account, event, call.request_id)
        except NoCreditsError:
            raise RefusalError(402) from None
        return Answer(201, show.event_unlock(self.site, call.account, event, used))

    def _list_personnel(self, call: Call) -> Answer:
        number, size = read.page(call.query, 50, 50)
        event = self._event(read.required_text(call.query, "event_id", 100))
        found = self._people(self.site.people_of_event.get(event.event_id, []), filters.people(call.query))
        full = self.site.is_event_unlocked(call.account, event)
        visible = len(found) if full else min(show.PREVIEW_LIMIT, len(found))
        people = _cut(found[:visible], number, size)
        items = [show.contact(self.site, call.account, person) for person in people]
        body = show.page(items, len(found), number, size, visible)
        body["semantics"] = show.semantics(len(found), visible, number, size, full=full)
        return Answer(200, body)

    def _profile(self, call: Call) -> Answer:
        return Answer(200, show.contact(self.site, call.account, self._person(read.personnel_id(call.query))))

    def _personnel_events(self, call: Call) -> Answer:
        return Answer(200, self._events_page(call, self._person(read.personnel_id(call.query))))

    def _by_linkedin(self, call: Call) -> Answer:
        read.required_text(call.query, "linkedin_url", 500)
        personnel_id = self._matched(call.query)
        person = None if personnel_id is None else self._person(personnel_id)
        events = self._events_page(call, person)
        if person is None:
            raise RefusalError(404)
        return Answer(200, {"personnel": show.contact(self.site, call.account, person), "events": events})

    def _search(self, call: Call) -> Answer:
        company = read.required_text(call.query, "company_name", 200).casefold()
        number, size = read.page(call.query, 100, 20)
        found = self._people(self.site.people_of_company.get(company, []), filters.company_people(call.query))
        items = [show.contact(self.site, call.account, person) for person in _cut(found, number, size)]
        return Answer(200, show.page(items, len(found), number, size))

    def _submit(self, kind: str) -> Callable[[Call], Answer]:
        def submit(call: Call) -> Answer:
            body = read.body_object(call.body)
            ids = read.personnel_ids(body, self.site.max_batch)
            reference = read.event_reference(body)
            if reference is None and self.site.require_event:
                raise RefusalError(400, "event_id is required")
            event = None if reference is None else self._event(reference)
            silent = _silently_skipped(call, ids)
            sorted_out = self.site.sort_out(call.account, kind, [one for one in ids if one not in silent], event)
            if silent:
                sorted_out.skipped[""] = silent
            if not sorted_out.chargeable:
                return Answer(201, show.submission(sorted_out, None))
            try:
                task = self.site.submit(call.account, kind, sorted_out.chargeable, call.request_id)
            except NoCreditsError:
                raise RefusalError(402) from None
            return Answer(201, show.submission(sorted_out, task))

        return submit

    def _task(self, kind: str) -> Callable[[Call], Answer]:
        def read_task(call: Call) -> Answer:
            task = self.site.task(call.account, kind, call.path["taskId"])
            if task is None:
                raise RefusalError(404)
            return Answer(200, show.task_body(task, self.clock.now()))

        return read_task

    def _event(self, reference: str) -> SimEvent:
        event = self.site.event(reference)
        if len(reference) > 100:
            raise RefusalError(400, "an event reference has at most 100 characters")
        if event is None:
            raise RefusalError(404)
        return event

    def _person(self, personnel_id: str) -> SimPerson:
        person = self.site.people.get(personnel_id)
        if person is None:
            raise RefusalError(404)
        return person

    def _people(self, ids: Iterable[str], wanted: Callable[[SimPerson], bool] | None) -> Sequence[SimPerson]:
        people = [self.site.people[one] for one in ids]
        return people if wanted is None else [person for person in people if wanted(person)]

    def _events_page(self, call: Call, person: SimPerson | None) -> show.JsonObject:
        number, size = read.page(call.query, 100, 20)
        scope = read.scope(call.query)
        if person is None:
            return show.page([], 0, number, size)
        attendance = show.attendance(person)
        known = [self.site.events[one] for one in person.event_ids if one in self.site.events]
        found = known if scope in {"all", *attendance} else []
        items = [{**show.event_item(event), "attendance_identity": attendance} for event in _cut(found, number, size)]
        return show.page(items, len(found), number, size)


def _cut(items: Sequence[Item], number: int, size: int) -> Sequence[Item]:
    return items[(number - 1) * size : number * size]


def _silently_skipped(call: Call, ids: Iterable[str]) -> list[str]:
    """The requested ids that an armed `extra_skip` leaves out without a stated reason."""
    if call.fault is None or call.fault.action != "extra_skip":
        return []
    persons = call.fault.params.get("persons", ())
    left_out = frozenset(persons) if isinstance(persons, list | tuple) else frozenset()
    return [one for one in dict.fromkeys(ids) if one in left_out]
