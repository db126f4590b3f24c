"""Salesfinity's callbacks: their delivery, their repeats, and their misbehaviour.

Documented is a JSON POST once the lookup resolves as `completed` or `not-found`, with at most 3 attempts and backoff.
The waits between attempts, the receiver's time limit and the condition for success are not documented; here any 2xx
answer within `timeout_s` is a success.
"""

import heapq
import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import httpx

from connector.simulator.clock import SimClock
from connector.simulator.salesfinity_state import Lookup

MAX_ATTEMPTS = 3
TICK_S = 0.01
JOIN_S = 0.2


@dataclass
class CallbackSettings:
    """The behaviour of callbacks; may be changed at any time.

    Attributes:
        never: send none.
        late: simulated seconds between resolution and the first attempt.
        repeat: how many more times a delivered callback is sent.
        before_answer: resolve a lookup at once and deliver its callback before the answer to its POST.
        forged: a stranger also posts to the address, at the time of submission: once with an invented `_id`, once with
            the true one and an invented email.
        on_failed: also send callbacks for lookups that ended as `failed`.
        backoff: simulated seconds before the second and the third attempt.
        timeout_s: real seconds that the receiver has for its answer.
    """

    never: bool = False
    late: float = 0.0
    repeat: int = 0
    before_answer: bool = False
    forged: bool = False
    on_failed: bool = False
    backoff: tuple[float, float] = (30.0, 120.0)
    timeout_s: float = 5.0


@dataclass(frozen=True)
class CallbackAttempt:
    """One attempt to deliver a callback, for tests.

    Attributes:
        url: the receiver's address.
        lookup_id: the `_id` in its body.
        attempt: 1 to 3.
        status: HTTP status of the receiver's answer; None if there was none.
        forged: whether a stranger sent it.
    """

    url: str
    lookup_id: str
    attempt: int
    status: int | None
    forged: bool


@dataclass(frozen=True)
class _Parcel:
    """A queued body; `due` is the simulated time of its next attempt."""

    due: float
    url: str
    body: dict[str, object]
    attempt: int = 1
    repeats: int = 0
    forged: bool = False


@dataclass
class _Queue:
    """Parcels in the order of their due times."""

    parcels: list[tuple[float, int, _Parcel]] = field(default_factory=list)
    order: "itertools.count[int]" = field(default_factory=itertools.count)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, parcel: _Parcel) -> None:
        with self.lock:
            heapq.heappush(self.parcels, (parcel.due, next(self.order), parcel))

    def take(self, now: float) -> _Parcel | None:
        with self.lock:
            if self.parcels and self.parcels[0][0] <= now:
                return heapq.heappop(self.parcels)[2]
            return None


class Callbacks:
    """Sends callbacks that are due, from a background thread, or at once with `before_answer`."""

    def __init__(self, clock: SimClock, settings: CallbackSettings, settle: Callable[[], None]) -> None:
        self.clock = clock
        self.settings = settings
        self._settle = settle
        self._queue = _Queue()
        self._sent: list[CallbackAttempt] = []
        self._delivering = threading.Lock()
        self._client: httpx.Client | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def deliveries(self) -> tuple[CallbackAttempt, ...]:
        """Every attempt so far, in order."""
        return tuple(self._sent)

    def resolved(self, lookup: Lookup) -> None:
        """Queue the callback of a lookup that just ended."""
        told = lookup.status != "failed" or self.settings.on_failed
        if lookup.callback_url is None or self.settings.never or not told:
            return
        due = lookup.ends_at + self.settings.late
        body = lookup.body(lookup.ends_at)
        self._queue.put(_Parcel(due, lookup.callback_url, body, repeats=self.settings.repeat))

    def submitted(self, lookup: Lookup) -> None:
        """Queue the forged callbacks for a lookup that was just opened."""
        if lookup.callback_url is None or not self.settings.forged:
            return
        email = {"email": "forged@example.com", "type": lookup.kind}
        true_id = {**lookup.body(self.clock.now()), "status": "completed", "email": email}
        for body in ({**true_id, "_id": "f" * 24}, true_id):
            self._queue.put(_Parcel(self.clock.now(), lookup.callback_url, body, MAX_ATTEMPTS, forged=True))

    def start(self) -> None:
        """Start delivering in the background."""
        if self._thread is not None:
            return
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, args=[self._stop], name="salesfinity-callbacks", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop delivering; callbacks that are still queued are not sent."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(JOIN_S)
            self._thread = None

    def deliver_due(self) -> None:
        """Send all callbacks that are due now, including those of lookups that end at this moment."""
        self._settle()
        with self._delivering:
            while (parcel := self._queue.take(self.clock.now())) is not None:
                self._send(parcel)

    def _work(self, stop: threading.Event) -> None:
        while not stop.wait(TICK_S):
            self.deliver_due()

    def _send(self, parcel: _Parcel) -> None:
        status = self._post(parcel)
        entry = CallbackAttempt(parcel.url, str(parcel.body["_id"]), parcel.attempt, status, parcel.forged)
        self._sent.append(entry)
        if status is not None and 200 <= status < 300:
            if parcel.repeats > 0:
                self._queue.put(replace(parcel, attempt=1, repeats=parcel.repeats - 1))
        elif parcel.attempt < MAX_ATTEMPTS:
            due = parcel.due + self.settings.backoff[parcel.attempt - 1]
            self._queue.put(replace(parcel, due=due, attempt=parcel.attempt + 1))

    def _post(self, parcel: _Parcel) -> int | None:
        if self._client is None:
            self._client = httpx.Client(trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))
        try:
            return self._client.post(parcel.url, json=parcel.body, timeout=self.settings.timeout_s).status_code
        except (httpx.HTTPError, httpx.InvalidURL):
            return None
