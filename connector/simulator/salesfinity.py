"""Salesfinity's site over HTTP: the routes of `docs/contracts/salesfinity.openapi.yaml`, built only from the contract.

The contract documents neither error bodies nor rate limits: errors have a short JSON text that clients must not rely
on, and there is no limit unless `rate_limit` is set.
"""

import re
from urllib.parse import unquote, urlsplit

from starlette.applications import Starlette
from starlette.requests import Request

from connector.simulator import spoil
from connector.simulator.charges import ChargeLedger
from connector.simulator.clock import SimClock
from connector.simulator.faults import Faults
from connector.simulator.front import Answer, Call, Caller, Front, RefusalError
from connector.simulator.people import name_in_own_case
from connector.simulator.requests_log import RequestLog
from connector.simulator.salesfinity_callbacks import CallbackAttempt, Callbacks, CallbackSettings
from connector.simulator.salesfinity_state import Lookup, NoCreditsError, SalesfinityState

ERRORS = {
    400: "Validation failed",
    401: "Unauthorized",
    402: "Insufficient enrichment credits",
    404: "Enrichment request not found",
    429: "Too many requests",
}
LINKEDIN_HOST = re.compile(r"(?:(?:www|[a-z]{2})\.)?linkedin\.com")
EXTERNAL_ID_LENGTH = 256


class SalesfinitySite(SalesfinityState):
    """The simulated Salesfinity.

    Attributes:
        keys: the API keys of the only team.
        faults: the armed faults; this site's name in them is `salesfinity`.
        callbacks: the behaviour of callbacks.
        app: the site as an ASGI application.
        actions: the supported fault actions: those of `spoil`.
    """

    actions = spoil.COMMON_ACTIONS

    def __init__(self, clock: SimClock, faults: Faults, charges: ChargeLedger | None = None) -> None:
        super().__init__(clock, charges)
        self.faults = faults
        self.keys: set[str] = {"sim-salesfinity-key"}
        self.callbacks = CallbackSettings()
        self._postman = Callbacks(clock, self.callbacks, self.settle)
        self.on_resolved(self._postman.resolved)
        self._front = _SalesfinityFront(self, self._postman, faults)
        self.app = self._front.application()

    def start(self) -> None:
        """Start sending callbacks in the background; until then they are only queued."""
        self._postman.start()

    def stop(self) -> None:
        """Stop sending callbacks."""
        self._postman.stop()

    @property
    def deliveries(self) -> tuple[CallbackAttempt, ...]:
        """Every callback attempt so far."""
        return self._postman.deliveries

    @property
    def rate_limit(self) -> int | None:
        """Requests per key in 60 simulated seconds; None, the default, for no limit and no rate headers."""
        return self._front.rate_limit

    @rate_limit.setter
    def rate_limit(self, requests: int | None) -> None:
        self._front.rate_limit = requests

    @property
    def requests(self) -> RequestLog:
        """The log of requests to this site."""
        return self._front.requests


class _SalesfinityFront(Front):
    """The routes."""

    vendor = "salesfinity"
    documented_headers = False
    state_words = ("status",)
    actions = SalesfinitySite.actions

    def __init__(self, site: SalesfinitySite, postman: Callbacks, faults: Faults) -> None:
        super().__init__(site.clock, faults, site.lock)
        self.site = site
        self.postman = postman

    def application(self) -> Starlette:
        """All routes of the contract."""
        base = "/v1/api/enrichment"
        return Starlette(
            routes=[
                self.route("POST", f"{base}/email", "requestEmailEnrichment", self._request),
                self.route("GET", f"{base}/email/{{id}}", "getEmailEnrichment", self._read),
                self.route("GET", f"{base}/credits", "getEnrichmentCredits", self._credits),
                self.unknown_route(),
            ]
        )

    def authenticate(self, request: Request) -> Caller:
        """The team behind the header `x-api-key`."""
        key = request.headers.get("x-api-key", "")
        if key not in self.site.keys:
            raise RefusalError(401)
        return Caller(key, "team")

    def error_body(self, refusal: RefusalError, _request_id: str) -> object:
        """A short text; no error body is documented."""
        return {"message": refusal.message or ERRORS.get(refusal.status, "Error")}

    def subjects(self, call: Call) -> frozenset[str]:
        """The LinkedIn name in a request; for a read, also the lookup's `_id`."""
        lookup_id = call.path.get("id")
        if lookup_id is not None:
            lookup = self.site.lookup(lookup_id)
            return frozenset({lookup_id} if lookup is None else {lookup_id, lookup.linkedin_name})
        url = call.body.get("linkedin_url") if isinstance(call.body, dict) else None
        name = linkedin_name(url) if isinstance(url, str) else None
        return frozenset() if name is None else frozenset({name})

    def settle(self) -> None:
        """Resolve the lookups that are due."""
        self.site.settle()

    def people(self, call: Call) -> int:
        """One person per request, none for a request of the credits."""
        return int(call.operation in {"requestEmailEnrichment", "getEmailEnrichment"})

    def _request(self, call: Call) -> Answer:
        lookup = self._start(call.body)
        self.postman.submitted(lookup)
        answered = lookup.body(self.clock.now())
        if not self.site.callbacks.before_answer:
            return Answer(201, answered)
        self.site.resolve_now(lookup)
        return Answer(201, answered, after=self.postman.deliver_due)

    def _start(self, body: object) -> Lookup:
        if not isinstance(body, dict):
            raise RefusalError(400, "the body must be a JSON object")
        url, kind = body.get("linkedin_url"), body.get("type")
        name = linkedin_name(url) if isinstance(url, str) else None
        if not isinstance(url, str) or name is None:
            raise RefusalError(400, "linkedin_url must be a linkedin.com/in/<username> URL")
        if not isinstance(kind, str) or kind not in {"work", "personal"}:
            raise RefusalError(400, "type must be work or personal")
        external_id = body.get("external_id")
        if "external_id" in body and (not isinstance(external_id, str) or len(external_id) > EXTERNAL_ID_LENGTH):
            raise RefusalError(400, "external_id must be a string of at most 256 characters")
        callback_url = body.get("callback_url")
        if "callback_url" in body and not (isinstance(callback_url, str) and _is_web_address(callback_url)):
            raise RefusalError(400, "callback_url must be a URL")
        try:
            return self.site.start_lookup(url, name, kind, callback_url, external_id)
        except NoCreditsError:
            raise RefusalError(402) from None

    def _read(self, call: Call) -> Answer:
        lookup = self.site.lookup(call.path["id"])
        if lookup is None:
            raise RefusalError(404)
        return Answer(200, lookup.body(self.clock.now()))

    def _credits(self, _call: Call) -> Answer:
        return Answer(200, {"balance": self.site.balance})


def linkedin_name(url: str) -> str | None:
    """The username of a `linkedin.com/in/<username>` address, lower-cased unless a member id; None for any other.

    The host may have no prefix, `www` or a country; a path, query or fragment after the name is refused. It is not
    documented whether the vendor accepts those, so a client that relies on it must fail here.
    """
    try:
        parts = urlsplit(url)
        host = parts.netloc.lower()
    except ValueError:
        return None
    path = parts.path.split("/")
    is_profile = len(path) == 3 and path[:2] == ["", "in"] and path[2] != ""
    if parts.scheme not in {"http", "https"} or not LINKEDIN_HOST.fullmatch(host) or not is_profile:
        return None
    return None if parts.query or parts.fragment else name_in_own_case(unquote(path[2]))


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.netloc)
