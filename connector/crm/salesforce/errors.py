"""Salesforce's error codes, sorted by what happens next (docs/salesforce.md, Errors)."""

from collections.abc import Iterable

from connector.core.errors import ConfigurationError, ConnectorError, CrmRefusedError, DownError, QuotaError
from connector.crm.salesforce.bodies import ErrorRow
from connector.crm.salesforce.library import SalesforceError
from connector.crm.salesforce.reasons import reason_of

_RETRY = {"UNABLE_TO_LOCK_ROW", "SERVER_UNAVAILABLE", "REQUEST_RUNNING_TOO_LONG", "QUERY_TIMEOUT", "UNKNOWN_EXCEPTION"}
_CONFIGURATION = {
    *("INVALID_FIELD", "INVALID_TYPE", "INVALID_FIELD_FOR_INSERT_UPDATE"),
    *("MALFORMED_QUERY", "INVALID_QUERY_FILTER_OPERATOR"),
    "SIMULATOR_LIMIT",  # a rehearsal asks for something that the simulated org does not support: its text says what
}
_QUOTA = {
    "REQUEST_LIMIT_EXCEEDED": "Salesforce's daily request quota is used up; it refills over the next 24 hours",
    "API_DISABLED_FOR_ORG": "Salesforce's API is disabled for this user; enable 'API Enabled' in its permissions",
}
_CONCURRENT = "too many long requests run in this Salesforce org at the same time; run again later"
RETRY_STATUSES = frozenset({406, 408, 420, 425, 429, *range(500, 600)})
SIMULATOR_LIMIT = "SIMULATOR_LIMIT"  # the simulator's own word for what it does not support


def code_of(error: SalesforceError) -> str:
    """The error code of a failed request; empty when its body is no error list (an HTML page, say)."""
    return _first(error).code


def is_passing(error: SalesforceError) -> bool:
    """Whether the same request may succeed a little later."""
    if code_of(error) == SIMULATOR_LIMIT:
        return False
    return _is_concurrent(error) or code_of(error) in _RETRY or error.status in RETRY_STATUSES


def _is_concurrent(error: SalesforceError) -> bool:
    """Whether the limit is that of long requests at one time, which passes, and not the day's."""
    return code_of(error) == "REQUEST_LIMIT_EXCEEDED" and "oncurrent" in str(error.content)


def is_own_error(error: SalesforceError) -> bool:
    """Whether Salesforce itself answered, with an error that concerns this one resource: login and address are good."""
    return bool(code_of(error)) and error.status != 401 and code_of(error) not in _QUOTA


def translate(
    error: SalesforceError, what: str, literals: Iterable[str] = (), *, is_first: bool = False
) -> ConnectorError:
    """A failed request in our words.

    Args:
        error: from simple-salesforce.
        what: what was being done, for the message.
        literals: of the query that was sent; none of them appears in the message.
        is_first: nothing that this client asked was ever answered.
    """
    code, status, message = code_of(error), error.status, _first(error).message
    if code == SIMULATOR_LIMIT:
        return ConfigurationError(f"Salesforce refuses {what} ({code}): {message}")
    if code in _QUOTA:
        return QuotaError(_CONCURRENT if _is_concurrent(error) else _QUOTA[code])
    reason = reason_of(message, literals)
    if code in _CONFIGURATION:
        return ConfigurationError(f"Salesforce refuses {what} ({code}): {reason or 'no reason given'}")
    remedy = {
        403: f"Salesforce forbids {what} ({code or 'HTTP 403'}); check the user's permission set",
        404: f"Salesforce does not know {what}; check the name and the user's permissions",
        410: "this Salesforce API version is retired; set SALESFORCE_API_VERSION to a current one",
    }.get(status)
    if remedy is not None:
        return ConfigurationError(remedy)
    where = f"{what} (HTTP {status}{', ' + code if code else ''})"
    if status in RETRY_STATUSES or status == 401 or code in _RETRY:
        return DownError(f"Salesforce failed at {where}; run again later")
    refusal = (
        f"Salesforce refuses {where}{': ' if reason else ''}{reason}. The same request would be refused again: correct "
        "its cause, or report it with this code"
    )
    return ConfigurationError(refusal) if is_first else CrmRefusedError(refusal, code)


def _first(error: SalesforceError) -> ErrorRow:
    """The first error of the body, which is any JSON value, or text where the body is no JSON."""
    return ErrorRow.first(error.content)
