"""The vendors' own ledger of charges, independent of the connector's.

Every test judges by it. Entries are only added, and all figures are computed from them.
"""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Charge:
    """One movement on a vendor account.

    Attributes:
        vendor: `lensmor` or `salesfinity`.
        person: the person who was bought: a personnel id, a LinkedIn name, or for kind `event` an `event_id`.
        kind: `email`, `phone` or `event` at Lensmor; `work` or `personal` at Salesfinity.
        credits: the credits charged; negative for a refund.
        at: Unix seconds of the simulated clock.
        request_id: the vendor's id of the paid request: Lensmor's `traceId`, Salesfinity's `_id`.
    """

    vendor: str
    person: str
    kind: str
    credits: int
    at: float
    request_id: str


class ChargeLedger:
    """Append-only list of charges; safe to share between threads.

    A vendor may have charges that are due but not written yet. Each site registers a function that writes them
    (`before_read`), so that a reader always sees everything due at this moment.
    """

    def __init__(self) -> None:
        self._entries: list[Charge] = []
        self._bought: Counter[tuple[str, str, str]] = Counter()
        self._settlers: list[Callable[[], None]] = []
        self._lock = threading.Lock()

    def before_read(self, settle: Callable[[], None]) -> None:
        """Register a function that writes the charges that are due; called before every read."""
        self._settlers.append(settle)

    def add(self, charge: Charge) -> None:
        """Write one entry."""
        with self._lock:
            self._entries.append(charge)
            self._bought[charge.vendor, charge.person, charge.kind] += 1 if charge.credits > 0 else -1

    @property
    def entries(self) -> tuple[Charge, ...]:
        """All entries, oldest first."""
        self._settle()
        with self._lock:
            return tuple(self._entries)

    def count(self, vendor: str, person: str, kind: str) -> int:
        """The number of charges for this, less refunds."""
        self._settle()
        with self._lock:
            return self._bought[vendor, person, kind]

    def total(self, vendor: str | None = None) -> int:
        """The credits charged by one vendor (None: by all), less refunds."""
        return sum(entry.credits for entry in self.entries if vendor in {None, entry.vendor})

    def doubles(self) -> list[tuple[str, str, str]]:
        """Every (vendor, person, kind) charged more than once and not refunded; a correct connector causes none."""
        self._settle()
        with self._lock:
            return sorted(key for key, times in self._bought.items() if times > 1)

    def _settle(self) -> None:
        for settle in self._settlers:
            settle()
