"""One HTTP exchange with an outside site: bounded in time and size, through the configured proxy, with trusted TLS.

Every request to a CRM or a vendor goes through `exchange.exchange`. A slow body, an answer that unpacks to gigabytes,
or a redirect ends there as an `ExchangeError`, whose text names no more of an address than its host.

The modules `exchange` and `transport` load the HTTP libraries, so only code that sends requests imports them.
"""

from connector.net.deadline import Budget
from connector.net.errors import ExchangeError, NoAnswerError, RedirectError, UnreadableError
from connector.net.settings import NetworkSettings

__all__ = [
    "Budget",
    "ExchangeError",
    "NetworkSettings",
    "NoAnswerError",
    "RedirectError",
    "UnreadableError",
]
