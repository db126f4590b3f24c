"""Checks Lensmor's request values, as strictly as the contract."""

from collections.abc import Mapping
from datetime import date
from urllib.parse import unquote, urlsplit

from connector.simulator.front import RefusalError
from connector.simulator.people import is_digits, name_in_own_case

PRECHECK_LIMITS = {"action_type": 100, "call_source": 100, "locale": 20, "trace_id": 200}
LINKEDIN_HOSTS = frozenset({"linkedin.com", "www.linkedin.com"})


def text(query: Mapping[str, str], name: str, longest: int) -> str | None:
    """An optional query parameter of limited length."""
    value = query.get(name)
    if value is not None and len(value) > longest:
        raise RefusalError(400, f"{name} is longer than {longest} characters")
    return value


def required_text(query: Mapping[str, str], name: str, longest: int) -> str:
    """A required query parameter that must not be empty."""
    value = text(query, name, longest)
    if not value:
        raise RefusalError(400, f"{name} is required")
    return value


def personnel_id(query: Mapping[str, str]) -> str:
    """The query parameter `personnel_id`: 1 to 20 decimal digits."""
    value = required_text(query, "personnel_id", 20)
    if not is_digits(value):
        raise RefusalError(400, "personnel_id must be decimal digits")
    return value


def page(query: Mapping[str, str], largest: int, usual: int) -> tuple[int, int]:
    """Page number and page size."""
    return _count(query, "page", 1, None), _count(query, "pageSize", usual, largest)


def day(query: Mapping[str, str], name: str) -> str | None:
    """An optional date, YYYY-MM-DD."""
    value = query.get(name)
    if value is None:
        return None
    try:
        parsed = date.fromisoformat(value).isoformat()
    except ValueError:
        parsed = ""
    if parsed != value:
        raise RefusalError(400, f"{name} must be YYYY-MM-DD")
    return value


def flag(query: Mapping[str, str], name: str) -> bool | None:
    """An optional 0 or 1."""
    value = query.get(name)
    if value not in {None, "0", "1"}:
        raise RefusalError(400, f"{name} must be 0 or 1")
    return None if value is None else value == "1"


def scope(query: Mapping[str, str]) -> str:
    """The query parameter `attendance_scope`."""
    value = query.get("attendance_scope", "all")
    if value not in {"all", "exhibitor_employee", "visitor"}:
        raise RefusalError(400, "attendance_scope must be all, exhibitor_employee or visitor")
    return value


def body_object(body: object) -> dict[str, object]:
    """A request body that must be a JSON object."""
    if not isinstance(body, dict):
        raise RefusalError(400, "the body must be a JSON object")
    return body


def personnel_ids(body: Mapping[str, object], largest: int) -> list[str]:
    """The list of ids to unlock; the form of each id is checked later, as a reason to skip it."""
    ids = body.get("personnel_ids")
    if not isinstance(ids, list) or not ids or not all(isinstance(one, str) for one in ids):
        raise RefusalError(400, "personnel_ids must be a list of at least one string")
    if len(ids) > largest:
        details = {"requestedCount": len(ids), "limit": largest, "selectionMode": "selected"}
        raise RefusalError(422, details=details)
    return ids


def event_reference(body: Mapping[str, object]) -> str | None:
    """The optional `event_id` of an unlock request."""
    if "event_id" not in body:
        return None
    value = body["event_id"]
    if not isinstance(value, str) or not 1 <= len(value) <= 100:
        raise RefusalError(400, "event_id must be a string of 1 to 100 characters")
    return value


def precheck(body: object) -> tuple[str, dict[str, object]]:
    """The action and the parameters of a precheck."""
    given = body_object(body)
    unknown = set(given) - {*PRECHECK_LIMITS, "params"}
    params = given.get("params")
    if unknown or "action_type" not in given or not isinstance(params, dict):
        raise RefusalError(400, "action_type and params are required and nothing unknown is accepted")
    for name, longest in PRECHECK_LIMITS.items():
        value = given.get(name, "-")
        if not isinstance(value, str) or not 1 <= len(value) <= longest:
            raise RefusalError(400, f"{name} must be a string of 1 to {longest} characters")
    return str(given["action_type"]), params


def linkedin_name(query: Mapping[str, str]) -> str | None:
    """The name in the query parameter `linkedin_url`; None for an address that can match no person.

    As documented, query string, fragment, trailing slash and case are ignored, and nothing else: an address without
    scheme, with a country host or with a language after the name matches no person.
    """
    url = required_text(query, "linkedin_url", 500)
    try:
        parts = urlsplit(url.strip())
        host = parts.hostname
    except ValueError:
        return None
    path = parts.path.removesuffix("/").split("/")
    is_profile = len(path) == 3 and path[1].lower() == "in" and path[2] != ""
    if parts.scheme not in {"http", "https"} or host not in LINKEDIN_HOSTS or not is_profile:
        return None
    return name_in_own_case(unquote(path[2]))


def _count(query: Mapping[str, str], name: str, usual: int, largest: int | None) -> int:
    value = query.get(name)
    if value is None:
        return usual
    number = int(value) if is_digits(value) and len(value) < 10 else 0
    if number < 1 or (largest is not None and number > largest):
        raise RefusalError(400, f"{name} must be a whole number from 1" + (f" to {largest}" if largest else ""))
    return number
