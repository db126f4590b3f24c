"""Ready-made faults of a Salesforce org; `docs/simulator.md` shows them as JSON.

Codes and texts come from documented or reported answers (November 2026); a comment marks those without a public
recording.
"""

from connector.simulator.faults import FOREVER, Fault
from connector.simulator.salesforce.rules import ACTIVATE

SITE = "salesforce"
LOGIN_REFUSALS = {
    "app_not_found": ("invalid_client_id", "client identifier invalid"),
    "wrong_secret": ("invalid_client", "invalid client credentials"),
    "no_run_as_user": ("invalid_grant", "no client credentials user enabled"),
    "flow_disabled": ("invalid_grant", "request not supported on this domain"),
    "ip_restricted": ("invalid_grant", "ip restricted"),
    "inactive_user": ("invalid_grant", "inactive user"),
    "inactive_org": ("invalid_grant", "inactive organization"),
    "login_hours": ("invalid_grant", "invalid login hours"),
    "audience": ("invalid_grant", "audience is invalid"),
    "expired_assertion": ("invalid_grant", "expired authorization code"),
    "invalid_assertion": ("invalid_grant", "invalid assertion"),
    "not_approved": ("invalid_grant", "user hasn't approved this consumer"),
    "login_rate": ("invalid_grant", "login rate exceeded"),
    "authentication_failure": ("invalid_grant", "authentication failure"),
    "app_blocked": ("invalid_app_access", "user is not admin approved to access this app"),
}
"""Name -> (`error`, `error_description`) in the answer of the token endpoint."""


def governor_limit(
    rows: int, reason: str = "cpu", *, code: str = ACTIVATE, object_name: str | None = None, times: int = FOREVER
) -> Fault:
    """A trigger that can handle only a number of rows per call: in a larger call, every row fails.

    Args:
        rows: the largest call that succeeds.
        reason: a name in `rules.GOVERNOR_LIMITS`, or the text itself.
        code: the status code of each row.
        object_name: the object of the trigger; None for any.
        times: the number of calls that it spoils.
    """
    params: dict[str, object] = {"rows": rows, "reason": reason, "code": code}
    if object_name is not None:
        params["object"] = object_name
    return Fault(SITE, "update_many", "governor_limit", times=times, params=params)


def maintenance(times: int = FOREVER) -> Fault:
    """The org is read-only: every row of every write is refused."""
    code = "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE"
    # No recording of this text was found.
    words = "Update not allowed during maintenance: the organization is in read-only mode"
    return Fault(SITE, "update_many", "row_error", times=times, params={"code": code, "message": words})


def limits_forbidden(times: int = FOREVER) -> Fault:
    """The user may not view Setup: `GET limits` answers 403."""
    # The error code of this refusal is unrecorded.
    params = {"status": 403, "errorCode": "INSUFFICIENT_ACCESS", "message": "insufficient access rights"}
    return Fault(SITE, "limits", "status", times=times, params=params)


def no_api_scope(times: int = FOREVER) -> Fault:
    """The app lacks the scope `api`: the login succeeds, and every request with its token answers 401."""
    params = {
        "status": 401,
        "errorCode": "INVALID_SESSION_ID",
        "message": "This session is not valid for use with the API",
    }
    return Fault(SITE, "data", "status", times=times, params=params)


def unknown_version(times: int = FOREVER) -> Fault:
    """The API version is newer than the org: 404 on every versioned path."""
    params = {"status": 404, "errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}
    return Fault(SITE, "data", "status", times=times, params=params)


def login_refused(name: str, times: int = FOREVER) -> Fault:
    """The token endpoint refuses.

    Args:
        name: one of LOGIN_REFUSALS.
        times: the number of logins that it refuses.

    Raises:
        KeyError: an unknown name.
    """
    error, description = LOGIN_REFUSALS[name]
    params = {"status": 400, "errorCode": error, "message": description}
    return Fault(SITE, "token", "status", times=times, params=params)


def moved_to(location: str, operation: str = "token", times: int = FOREVER) -> Fault:
    """My Domain was renamed: token requests (or `data` requests) are redirected to another host."""
    return Fault(SITE, operation, "redirect", times=times, params={"location": location})


def person_account(record_id: str, *fields: str, times: int = FOREVER) -> Fault:
    """One record does not accept these fields (by default Email), like the Contact of a person account."""
    names = list(fields or ("Email",))
    words = (
        f"Unable to create/update fields: {', '.join(names)}. Please check the security settings of this field and "
        "verify that it is read/write for your profile or permission set."
    )
    error = {"code": "INVALID_FIELD_FOR_INSERT_UPDATE", "message": words, "fields": names}
    params = {"when_fields": names, "errors": [error]}
    return Fault(SITE, "update_many", "row_rule", times=times, subject=record_id, params=params)


def duplicate_by_email(record_id: str | None = None, times: int = FOREVER) -> Fault:
    """A duplicate rule for Email whose error names no field; for one record, or for every row with an Email."""
    error = {"code": "DUPLICATES_DETECTED", "message": "Use one of these records?", "fields": []}
    params = {"when_fields": ["Email"], "errors": [error]}
    return Fault(SITE, "update_many", "row_rule", times=times, subject=record_id, params=params)
