"""Salesforce's error codes, sorted by what happens next (docs/salesforce.md, Errors)."""

import re
from typing import Any

from simple_salesforce.exceptions import SalesforceError

from connector.core.errors import ConfigurationError, ConnectorError, DownError, QuotaError
from connector.crm.salesforce.rejections import code_in

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
_QUOTED = re.compile(r"'(?![A-Za-z][A-Za-z0-9_.]*')[^']*(?:'|$)", re.DOTALL)  # API names stay
_ADDRESS = re.compile(r"\S+@\S+")
_NUMBER = re.compile(r"\+?\d[\d ().-]{5,}\d")
RETRY_STATUSES = frozenset({406, 420, 429, *range(500, 600)})


def code_of(error: SalesforceError) -> str:
    """The error code of a failed request; empty when its body is no error list (an HTML page, say)."""
    content: Any = error.content  # a list, a mapping or text: the library's annotation says bytes
    first = content[0] if isinstance(content, list) and content else content
    return code_in(first) if isinstance(first, dict) else ""


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


def _explain(error: SalesforceError) -> str:
    """Salesforce's own words about a query or a field name, without the values that a query may have quoted."""
    content: Any = error.content  # a list, a mapping or text: the library's annotation says bytes
    first = content[0] if isinstance(content, list) and content else {}
    text = str(first.get("message", "")) if isinstance(first, dict) else ""
    for pattern in (_QUOTED, _ADDRESS, _NUMBER):
        text = pattern.sub("…", text)
    return " ".join(text.split())[:300] or "no reason given"
