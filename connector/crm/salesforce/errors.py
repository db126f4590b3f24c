"""Salesforce's error codes, sorted by what happens next (docs/salesforce.md, Errors)."""

import re
from collections.abc import Mapping
from typing import Any

from simple_salesforce.exceptions import SalesforceError

from connector.core.errors import ConfigurationError, ConnectorError, DownError, QuotaError
from connector.crm.interface import Rejection, Trouble

_RETRY = {"UNABLE_TO_LOCK_ROW", "SERVER_UNAVAILABLE", "REQUEST_RUNNING_TOO_LONG", "QUERY_TIMEOUT", "UNKNOWN_EXCEPTION"}
_MOVED = {"ENTITY_IS_DELETED", "INVALID_CROSS_REFERENCE_KEY", "NOT_FOUND", "CANNOT_UPDATE_CONVERTED_LEAD"}
_CONFIGURATION = {
    *("INVALID_FIELD", "INVALID_TYPE", "INVALID_FIELD_FOR_INSERT_UPDATE"),
    *("MALFORMED_QUERY", "INVALID_QUERY_FILTER_OPERATOR"),
}
_QUOTA = {
    "REQUEST_LIMIT_EXCEEDED": "Salesforce's daily request quota is used up; it refills over the next 24 hours",
    "API_DISABLED_FOR_ORG": "Salesforce's API is disabled for this user; enable 'API Enabled' in its permissions",
}
_QUOTED = re.compile(r"'(?![A-Za-z][A-Za-z0-9_.]*')[^']*(?:'|$)", re.DOTALL)  # API names stay
_ADDRESS = re.compile(r"\S+@\S+")
_NUMBER = re.compile(r"\+?\d[\d ().-]{5,}\d")
RETRY_STATUSES = frozenset({406, 420, 429, *range(500, 600)})


def rejection(errors: object) -> Rejection:
    """The first error of a row in a Collections answer; unknown codes end the record."""
    first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
    code = _code(first)
    blamed = first.get("fields")
    names = tuple(str(name) for name in blamed) if isinstance(blamed, list) else ()
    if "UNABLE_TO_LOCK_ROW" in str(first.get("message", "")):  # nested in the text of other codes
        return Rejection(Trouble.RETRY, "UNABLE_TO_LOCK_ROW", names)
    return Rejection(trouble_of(code), code, names)


def trouble_of(code: str) -> Trouble:
    """What a row's error code calls for."""
    if code in _RETRY:
        return Trouble.RETRY
    if code in _MOVED:
        return Trouble.MOVED
    if code in _CONFIGURATION:
        return Trouble.CONFIGURATION
    return Trouble.RECORD


def code_of(error: SalesforceError) -> str:
    """The error code of a failed request; empty when its body is no error list (an HTML page, say)."""
    content: Any = error.content  # a list, a mapping or text: the library's annotation says bytes
    first = content[0] if isinstance(content, list) and content else content
    return _code(first) if isinstance(first, dict) else ""


def is_passing(error: SalesforceError) -> bool:
    """Whether the same request may succeed a little later."""
    return _is_concurrent(error) or code_of(error) in _RETRY or error.status in RETRY_STATUSES


def _is_concurrent(error: SalesforceError) -> bool:
    """Whether the limit is that of long requests at one time, which passes, and not the day's."""
    return code_of(error) == "REQUEST_LIMIT_EXCEEDED" and "oncurrent" in str(error.content)


def translate(error: SalesforceError, what: str) -> ConnectorError:
    """A failed request in our words.

    Args:
        error: from simple-salesforce.
        what: what was being done, for the message.
    """
    code = code_of(error)
    if _is_concurrent(error):
        return QuotaError("too many long requests run in this Salesforce org at the same time; run again later")
    if code in _QUOTA:
        return QuotaError(_QUOTA[code])
    if code in _CONFIGURATION:
        return ConfigurationError(f"Salesforce refuses {what} ({code}): {_explain(error)}")
    remedy = {
        403: f"Salesforce forbids {what} ({code or 'HTTP 403'}); check the user's permission set",
        404: f"Salesforce does not know {what}; check the name and the user's permissions",
        410: "this Salesforce API version is retired; set SALESFORCE_API_VERSION to a current one",
    }.get(error.status)
    if remedy is not None:
        return ConfigurationError(remedy)
    return DownError(f"Salesforce failed at {what} (HTTP {error.status}{', ' + code if code else ''}); run again later")


def _code(row: Mapping[str, Any]) -> str:
    found = row.get("statusCode") or row.get("errorCode") or ""
    text = str(found)[:80]
    return text if text.replace("_", "").isalnum() else ""


def _explain(error: SalesforceError) -> str:
    """Salesforce's own words about a query or a field name, without the values that a query may have quoted."""
    content: Any = error.content  # a list, a mapping or text: the library's annotation says bytes
    first = content[0] if isinstance(content, list) and content else {}
    text = str(first.get("message", "")) if isinstance(first, dict) else ""
    for pattern in (_QUOTED, _ADDRESS, _NUMBER):
        text = pattern.sub("…", text)
    return " ".join(text.split())[:300] or "no reason given"
