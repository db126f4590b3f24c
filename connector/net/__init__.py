"""One HTTP exchange with an outside site: bounded in time and size, through the configured proxy, with trusted TLS.

Every request to a CRM or a vendor goes through `exchange`. A slow body, an answer that unpacks to gigabytes, or a
redirect ends there as an `ExchangeError`, whose text names no more of an address than its host.
"""

from connector.net.deadline import Budget
from connector.net.errors import ExchangeError, NoAnswerError, RedirectError, UnreadableError
from connector.net.exchange import Reply, exchange
from connector.net.settings import NetworkSettings
from connector.net.transport import BoundedTransport

__all__ = [
    "BoundedTransport",
    "Budget",
    "ExchangeError",
    "NetworkSettings",
    "NoAnswerError",
    "RedirectError",
    "Reply",
    "UnreadableError",
    "exchange",
]
