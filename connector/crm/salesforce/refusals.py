"""Refused logins: each of Salesforce's fixed phrases with its cause and the admin's next step.

Phrases and codes: Salesforce Help, "OAuth 2.0 error codes", and public reports, as of November 2026.
"""

from collections.abc import Iterable

from connector.core.errors import ConfigurationError, ConnectorError, StopError
from connector.core.masking import mask_text

PASSING = frozenset({"temporarily_unavailable", "server_error", "unknown_error"})
_APP = "the External Client App"
_RUN_AS = f"open {_APP}, enable the client credentials flow and give it a run-as user"
_AUDIENCE = (
    "the org does not accept the JWT's audience: set SALESFORCE_JWT_AUDIENCE to https://test.salesforce.com for a "
    "sandbox or scratch org, https://login.salesforce.com for others"
)
_JWT = "check SALESFORCE_USERNAME, and that the app's certificate belongs to SALESFORCE_PRIVATE_KEY_FILE"

# By a part of `error_description`, lower-case; the first that fits counts.
_PHRASES: dict[str, str] = {
    "ip restricted": "the login comes from an address outside the allowed ranges: add this machine's address in "
    f"Setup, Network Access, or set 'Relax IP restrictions' in the policies of {_APP}",
    "inactive user": "the user is deactivated or frozen: activate the run-as user, or name another one",
    "user is inactive": "the user is deactivated or frozen: activate the run-as user, or name another one",
    "inactive organization": "the org is inactive or locked: check SALESFORCE_INSTANCE_URL, and the org's status",
    "org is inactive": "the org is inactive or locked: check SALESFORCE_INSTANCE_URL, and the org's status",
    "audience is invalid": _AUDIENCE,
    "audience validation failed": _AUDIENCE,
    "invalid audience": _AUDIENCE,
    "hasn't approved this consumer": f"pre-authorise the user: in the policies of {_APP}, set 'Admin approved users "
    "are pre-authorized' and assign the user's profile or permission set",
    "not admin approved": f"pre-authorise the user: assign its profile or permission set in the policies of {_APP}",
    "no client credentials user enabled": _RUN_AS,
    "client credentials flow": _RUN_AS,
    "client identifier invalid": "check SALESFORCE_CLIENT_ID; a new app takes up to ten minutes to be known",
    "invalid client credentials": "check SALESFORCE_CLIENT_ID and SALESFORCE_CLIENT_SECRET",
    "invalid client secret": "check SALESFORCE_CLIENT_SECRET",
    "app must be installed": f"install {_APP} in this org, or use the org that it belongs to: check "
    "SALESFORCE_INSTANCE_URL",
    "oauth_app_blocked": "the app is blocked in this org: unblock it in Setup, Connected Apps OAuth Usage",
    "app is blocked": "the app is blocked in this org: unblock it in Setup, Connected Apps OAuth Usage",
    "invalid assertion": f"the signed assertion is not accepted: {_JWT}, and this machine's clock",
    "assertion has expired": "the signed assertion had expired when it arrived: set this machine's clock",
    "expired authorization code": f"this machine's clock differs too much from Salesforce's: set it, and {_JWT}",
    "expired access/refresh token": "the login has expired: log in with client credentials or a JWT instead",
    "request not supported on this domain": "SALESFORCE_INSTANCE_URL must be the org's My Domain (Setup, My Domain)",
    "grant type not supported": f"enable the flow (client credentials or JWT) in {_APP}",
    "invalid user credentials": _JWT,
    "authentication failure": "the org does not accept these credentials: check SALESFORCE_CLIENT_ID and "
    f"SALESFORCE_CLIENT_SECRET (for a JWT, {_JWT}), and the user's login hours",
}
# By `error`, where the description says nothing known.
_CODES: dict[str, str] = {
    "invalid_client": "check SALESFORCE_CLIENT_ID and SALESFORCE_CLIENT_SECRET",
    "invalid_client_id": "check SALESFORCE_CLIENT_ID",
    "invalid_client_credentials": "check SALESFORCE_CLIENT_SECRET",
    "invalid_app_access": f"assign the user to {_APP}: its policies admit approved users only",
    "invalid_app_org": "the app belongs to another org, or is not installed here: check SALESFORCE_INSTANCE_URL",
    "app_not_found": "this org does not know the app: check SALESFORCE_CLIENT_ID and SALESFORCE_INSTANCE_URL",
    "inactive_user": _PHRASES["inactive user"],
    "inactive_org": _PHRASES["inactive organization"],
    "invalid_grant": "enable the client credentials flow in the External Client App and give it a run-as user; for "
    "JWT, pre-authorise the user and check SALESFORCE_USERNAME",
    "invalid_request": f"enable the OAuth flow in {_APP}",
    "invalid_scope": f"add the scope 'Manage user data via APIs (api)' to {_APP}",
    "unauthorized_client": f"enable the flow (client credentials or JWT) in {_APP}",
    "unsupported_grant_type": f"enable the flow (client credentials or JWT) in {_APP}",
    "redirect_uri_mismatch": f"the login has no callback address; check that {_APP} allows client credentials or JWT",
    "access_denied": f"the policies of {_APP} deny the login: assign the user's profile or permission set",
    "oauth_app_access_denied": f"the policies of {_APP} deny the login: assign the user's profile or permission set",
    "oauth_app_blocked": _PHRASES["oauth_app_blocked"],
    "oauth_approval_error_generic": _PHRASES["hasn't approved this consumer"],
    "oauth_ec_app_not_found": "this org does not know the app: check SALESFORCE_CLIENT_ID and SALESFORCE_INSTANCE_URL",
    "immediate_unsuccessful": _PHRASES["hasn't approved this consumer"],
}
_TOO_MANY = ("login rate exceeded", "rate limit exceeded", "exceeded the maximum number of login")
_TOO_MANY_CODES = frozenset({"rate_limit_exceeded", "login_rate_exceeded"})


def refused_login(code: str, description: str, private: Iterable[object] = ()) -> ConnectorError:
    """What a refused login means.

    Args:
        code: the answer's `error`.
        description: its `error_description`.
        private: settings that the description may quote.

    Returns:
        A `StopError` where only time helps, else a `ConfigurationError`.
    """
    word = code if code.replace("_", "").replace(" ", "").isalnum() and len(code) <= 60 else "refused"
    said = " ".join(description.lower().replace("\u2019", "'").split())
    if word in _TOO_MANY_CODES or any(phrase in said for phrase in _TOO_MANY):
        return StopError(
            "Salesforce takes no more logins of this user for now (login rate exceeded); run again later, less often"
        )
    known = next((phrase for phrase in _PHRASES if phrase in said), "")
    if known:
        return ConfigurationError(f"Salesforce refuses the login ({word}: {known}): {_PHRASES[known]}")
    remedy = _CODES.get(word, f"check the SALESFORCE_* settings and {_APP}")
    shown = mask_text(description, private, 120)
    return ConfigurationError(f"Salesforce refuses the login ({word}{': ' if shown else ''}{shown}): {remedy}")
