"""Every error the connector raises, grouped by what happens next.

ConnectorError
├── ConfigurationError      wrong usage, mapping, settings or permissions; nothing was bought       exit 2
│   └── MappingError        with file, line and key
├── LockedError             another run drives this ledger                                          exit 5
├── StopError               the run ends early, the queue stays                                     exit 4
│   ├── CreditsError        the vendor says that the credits are used up
│   ├── QuotaError          the CRM's request quota is used up
│   ├── JournalError        no disk space can be reserved for the answer to a paid request: nothing was sent
│   ├── CrmRefusedError     the CRM refuses a request as such: the same request would be refused again
│   └── DownError           a service refuses a login that worked before, or answers nothing usable
│       ├── UnreachableError    no connection to it could be opened: nothing was sent
│       └── PassingError        one try failed in a way that may pass; whoever asked decides what comes next
├── RefusedError            a vendor refused a request; certain that nothing was done
├── LostAnswerError         a request left and its answer did not arrive or cannot be read
├── NotThereError           a vendor does not know the id that was asked for
├── UnsupportedError        a provider was asked for what it does not offer: a fault of ours        exit 1
└── BooksError              the ledger does not add up: a fault of ours                             exit 1

Messages carry ids, counts and the admin's next step, never bodies, tokens or personal data.
"""


class ConnectorError(Exception):
    """The root; `str()` of it is fit for an admin's screen."""

    exit_code = 1


class ConfigurationError(ConnectorError):
    """Something an admin has set is wrong; nothing was bought."""

    exit_code = 2


class MappingError(ConfigurationError):
    """A mapping file that cannot be used; one line per problem, each with its place and remedy."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class LockedError(ConnectorError):
    """Another process is the driver of this ledger."""

    exit_code = 5


class StopError(ConnectorError):
    """The run cannot go on; what is open stays in the ledger for the next run."""

    exit_code = 4


class CreditsError(StopError):
    """The vendor refused for lack of credits; nothing was started."""


class QuotaError(StopError):
    """The CRM's daily request quota, or the reserve that is kept of it, is reached."""


class JournalError(StopError):
    """The answer to a paid request would have no place if the database went away, so the request is not sent."""


class OlderCopyError(StopError):
    """During a run the ledger turned out to be an older copy: nothing more is bought."""


class CrmRefusedError(StopError):
    """The CRM refuses a request for a reason that time does not heal, after it has answered others.

    Attributes:
        code: the CRM's error code; empty where it gave none.
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class DownError(StopError):
    """A service cannot be reached, or it refuses a login that worked before."""


class UnreachableError(DownError):
    """No connection could be opened, so nothing was sent."""


class PassingError(DownError):
    """One try failed in a way that may pass, and was not repeated: what is asked must first be looked at again."""


class RefusedError(ConnectorError):
    """A definite refusal: the request had no effect.

    Attributes:
        retry_after_s: seconds to wait before the same request may be tried again; None when it must not be.
        reread: the vendor says the state is another than we think; read it before anything is submitted again.
        needs_grouping_key: the vendor wants a group (an event) to be named, or another one.
        status: the HTTP status, where there was one.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after_s: float | None = None,
        reread: bool = False,
        needs_grouping_key: bool = False,
        status: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s
        self.reread = reread
        self.needs_grouping_key = needs_grouping_key


class LostAnswerError(ConnectorError):
    """The request may have taken effect; nobody can tell from the answer."""


class NotThereError(ConnectorError):
    """The vendor does not know this id, or does not show it to this account."""


class AccountingError(ConnectorError):
    """Holds, charges and outcomes do not add up."""


class UnsupportedError(ConnectorError):
    """A provider was asked for something it does not offer: a fault of the caller."""

    def __init__(self, provider: str, what: str) -> None:
        super().__init__(f"{provider} does not offer {what}")
