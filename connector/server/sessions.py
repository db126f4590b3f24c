"""Sessions of the operations pages. They are in memory: a restart of the server ends all of them."""

import hashlib
import hmac
import secrets
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

IDLE_S = 30 * 60.0
LONGEST_S = 8 * 3600.0
MOST_SESSIONS = 200
MOST_PRESSES = 1000  # of one session; after that it ends
MOST_FAILURES = 10  # of one address
FAILURES_WITHIN_S = 60.0
MOST_ADDRESSES = 5000
Clock = Callable[[], float]


@dataclass
class Session:
    """One login.

    Attributes:
        key: signs the session's buttons.
        began: in seconds of the clock.
        used: the last use, in seconds of the clock.
        pressed: the tokens of the buttons that were pressed.
        message: shown on the next page, once.
    """

    key: bytes
    began: float
    used: float
    pressed: set[str] = field(default_factory=set)
    message: str = ""

    def token(self, action: str) -> str:
        """A token for one button of one page: it names the action, and can be used once."""
        nonce = secrets.token_urlsafe(12)
        return f"{nonce}.{self._signature(nonce, action)}"

    def is_token(self, given: str, action: str) -> bool:
        """Whether a token was issued by this session for this action; it may have been used."""
        nonce, _, signature = given.partition(".")
        return hmac.compare_digest(signature.encode(), self._signature(nonce, action).encode())

    def press(self, token: str) -> bool:
        """Use up a token; False if it was used before."""
        if token in self.pressed:
            return False
        self.pressed.add(token)
        return True

    def take_message(self) -> str:
        """The message for the next page, which is shown once."""
        message, self.message = self.message, ""
        return message

    def _signature(self, nonce: str, action: str) -> str:
        return hmac.new(self.key, f"{nonce}\n{action}".encode(), hashlib.sha256).hexdigest()


class Sessions:
    """The open sessions by the hash of their cookie, the longest unused first.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: OrderedDict[str, Session] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self) -> str:
        """Begin a session; returns its cookie."""
        cookie, now = secrets.token_urlsafe(32), self._clock()
        with self._lock:
            self._open[_hash(cookie)] = Session(secrets.token_bytes(32), now, now)
            while len(self._open) > MOST_SESSIONS:
                self._open.popitem(last=False)
        return cookie

    def find(self, cookie: str) -> Session | None:
        """The open session of a cookie, which counts as used now; None if there is none or it has ended."""
        name, now = _hash(cookie), self._clock()
        with self._lock:
            found = self._open.get(name)
            if found is None:
                return None
            if now - found.used > IDLE_S or now - found.began > LONGEST_S or len(found.pressed) > MOST_PRESSES:
                del self._open[name]
                return None
            found.used = now
            self._open.move_to_end(name)
            return found

    def end(self, cookie: str) -> None:
        """End a session."""
        with self._lock:
            self._open.pop(_hash(cookie), None)


class LoginLimit:
    """Refuses logins from an address with too many wrong tokens in the last minute.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def allows(self, address: str) -> bool:
        """Whether this address may try a token now."""
        since = self._clock() - FAILURES_WITHIN_S
        with self._lock:
            found = self._failures.get(address)
            while found and found[0] < since:
                found.popleft()
            return not found or len(found) < MOST_FAILURES

    def failed(self, address: str) -> None:
        """Count a wrong token."""
        with self._lock:
            self._failures.setdefault(address, deque(maxlen=MOST_FAILURES)).append(self._clock())
            self._failures.move_to_end(address)
            while len(self._failures) > MOST_ADDRESSES:
                self._failures.popitem(last=False)


def _hash(cookie: str) -> str:
    return hashlib.sha256(cookie.encode("utf-8", "surrogateescape")).hexdigest()
