"""One HTTP exchange with a site outside: bounded in time and size, through the configured proxy, with trusted TLS.

Every request of every edge passes `exchange`. A body that drips, an answer that unpacks to gigabytes, or a redirect
to somewhere else ends there as an `ExchangeError`, whose text is true and names no address but a host.
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
