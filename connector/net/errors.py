"""The errors of an exchange.

ExchangeError
├── NoAnswerError       no complete answer arrived
├── UnreadableError     an answer arrived but cannot be used
└── RedirectError       the site redirects; redirects are never followed, because requests carry a login
"""


class ExchangeError(Exception):
    """A request did not get a usable answer.

    Attributes:
        why: a predicate to follow the site's name, such as "answered with a web page instead of JSON".
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class NoAnswerError(ExchangeError):
    """No complete answer arrived.

    Attributes:
        left: whether a byte of the request may have reached the site.
        lasting: whether the same request would fail again until an admin changes something.
    """

    def __init__(self, why: str, *, left: bool, lasting: bool = False) -> None:
        super().__init__(why)
        self.left = left
        self.lasting = lasting


class UnreadableError(ExchangeError):
    """The answer is too large, badly compressed, or not JSON."""


class RedirectError(ExchangeError):
    """The answer redirects to another address.

    Attributes:
        status: the HTTP status.
        host: the host of the other address; empty if it cannot be shown.
    """

    def __init__(self, status: int, host: str) -> None:
        super().__init__(f"redirects to another address ({host or 'unreadable host'}, HTTP {status})")
        self.status = status
        self.host = host
