"""All errors of the connector, grouped by their consequence.

ConnectorError
├── ConfigurationError      wrong usage, mapping, settings or permissions; nothing was bought       exit 2
│   └── MappingError        with file, line and key
├── LockedError             another run holds the run lock                                          exit 5
├── StopError               the run ends early; the queue is intact                                 exit 4
│   ├── CreditsError        the vendor reports that the credits are used up
│   ├── QuotaError          the CRM's request quota is used up
│   ├── JournalError        no disk space can be reserved for the answer to a paid request; nothing was sent
│   ├── OlderCopyError      the ledger turned out to be an older copy during the run
│   ├── CrmRefusedError     the CRM would refuse the same request again
│   └── DownError           a service cannot be used: no usable answer, or it refuses a login that worked before
│       ├── UnreachableError    no connection could be opened; nothing was sent
│       └── PassingError        one attempt failed in a way that may pass; the caller decides what to do next
├── RefusedError            a vendor refused a request; it certainly had no effect
├── LostAnswerError         a request was sent, but its answer was lost or is unreadable
├── NotThereError           a vendor has nothing with the requested id
├── UnsupportedError        a provider does not offer the requested operation: a fault of ours      exit 1
└── AccountingError         the ledger does not add up: a fault of ours                             exit 1

Messages carry ids, counts and the admin's next step, never bodies, tokens or personal data.
"""


class ConnectorError(Exception):
    """The base of all errors; `str()` gives a message for an admin."""

    exit_code = 1


class ConfigurationError(ConnectorError):
    """A setting, a mapping or an argument is wrong; nothing was bought."""

    exit_code = 2


class MappingError(ConfigurationError):
    """A mapping file cannot be used; the message has one line per problem, with its place and remedy."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class LockedError(ConnectorError):
    """Another process holds the run lock of this ledger."""

    exit_code = 5


class StopError(ConnectorError):
    """The run cannot continue; open work stays in the ledger for the next run."""

    exit_code = 4


class CreditsError(StopError):
    """The vendor refused for lack of credits; nothing was started."""


class QuotaError(StopError):
    """The CRM's daily request quota is used up, except for the reserve."""


class JournalError(StopError):
    """The recovery journal has no room for the answer to a paid request, so the request was not sent."""


class OlderCopyError(StopError):
    """The ledger turned out to be an older copy during the run; nothing more is bought."""


class CrmRefusedError(StopError):
    """The CRM, which has answered other requests, refuses one for a lasting reason.

    Attributes:
        code: the CRM's error code; empty if it gave none.
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class DownError(StopError):
    """A service gives no usable answer, or refuses a login that worked before."""


class UnreachableError(DownError):
    """No connection could be opened, so nothing was sent."""


class PassingError(DownError):
    """One attempt failed in a way that may pass. It was not repeated: the caller must check the state first."""


class RefusedError(ConnectorError):
    """A definite refusal: the request had no effect.

    Attributes:
        retry_after_s: seconds to wait before the same request may be sent again; None if it must not be.
        reread: the vendor's state differs from ours; read it before submitting again.
        needs_grouping_key: the vendor requires a group (an event), or a different one.
        status: the HTTP status, if there was one.
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
    """The request may or may not have taken effect."""


class NotThereError(ConnectorError):
    """The vendor has nothing with this id, or does not show it to this account."""


class AccountingError(ConnectorError):
    """Holds, charges and outcomes do not add up."""


class UnsupportedError(ConnectorError):
    """A provider does not offer the requested operation: a fault of the caller."""

    def __init__(self, provider: str, what: str) -> None:
        super().__init__(f"{provider} does not offer {what}")
