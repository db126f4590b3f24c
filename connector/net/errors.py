"""How an exchange fails.

ExchangeError
├── NoAnswerError       no whole answer arrived
├── UnreadableError     an answer arrived and cannot be used
└── RedirectError       the site sends the request elsewhere; it is never followed, for it carries a login
"""


class ExchangeError(Exception):
    """One request without a usable answer.

    Attributes:
        why: a predicate that follows the site's name: "answered with a web page instead of JSON".
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class NoAnswerError(ExchangeError):
    """No whole answer.

    Attributes:
        left: whether a byte of the request may have reached the site.
        lasting: whether the same request would fail again until an admin changes something.
    """

    def __init__(self, why: str, *, left: bool, lasting: bool = False) -> None:
        super().__init__(why)
        self.left = left
        self.lasting = lasting


class UnreadableError(ExchangeError):
    """Too large, badly compressed, or not JSON."""


class RedirectError(ExchangeError):
    """An answer that names another address.

    Attributes:
        status: of the answer.
        host: the other address's host; empty where it names none that can be shown.
    """

    def __init__(self, status: int, host: str) -> None:
        super().__init__(f"redirects to another address ({host or 'of no readable name'}, HTTP {status})")
        self.status = status
        self.host = host
