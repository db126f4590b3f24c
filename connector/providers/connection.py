"""The connection of one provider account, without the HTTP library that uses it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from connector.net import NetworkSettings
from connector.net.deadline import Monotonic

if TYPE_CHECKING:  # only tests give a transport: start-up time
    import httpx


class Pace(Protocol):
    """The rate limiter that all processes with one vendor key share."""

    def acquire(self, *, first: bool = False) -> None:
        """Wait until a request may leave; `first` goes before this process's others."""

    def pause(self, seconds: float) -> None:
        """Let no request leave for this long, as the vendor requested."""

    def limit(self, per_minute: float) -> None:
        """Set the rate at which requests may leave."""


Explain = Callable[[float, str], None]


def _silent(_seconds: float, _reason: str) -> None:
    """Explain nothing; the default of `Connection.explain`."""


@dataclass(frozen=True)
class Connection:
    """The connection of one provider account: its rate limiter, clock and network.

    Attributes:
        pace: the rate limiter.
        sleep: waits a number of seconds (scaled in rehearsals).
        explain: receives the seconds and the reason of each wait between attempts.
        network: proxies and trusted certificates.
        transport: replaces the network in tests.
        clock: monotonic seconds, for the deadline of each request.
    """

    pace: Pace
    sleep: Callable[[float], None]
    explain: Explain = _silent
    network: NetworkSettings = field(default_factory=NetworkSettings)
    transport: "httpx.BaseTransport | None" = None
    clock: Monotonic = time.monotonic
