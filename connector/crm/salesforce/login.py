"""Ways to log in, and the settings that each of them needs."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from connector.crm.salesforce.domain import domain_of

PRODUCTION, SANDBOX = "https://login.salesforce.com", "https://test.salesforce.com"
# Partitioned domains of orgs that log in at test.salesforce.com (Salesforce Help, My Domain URL formats, 2026).
# Developer Edition (.develop), Trailhead (.trailblaze), demo and free orgs log in at login.salesforce.com.
_SANDBOX_PARTS = frozenset({"sandbox", "scratch"})


class LoginKind(StrEnum):
    """The way to log in."""

    CLIENT_CREDENTIALS = "client credentials"
    JWT = "JWT bearer"
    TOKEN = "access token"  # noqa: S105 a kind of login


@dataclass(frozen=True, slots=True)
class Login:
    """How to log in to one org; exactly one of the three ways is filled.

    Attributes:
        instance_url: the org's My Domain address.
        client_id, client_secret: client credentials.
        username, private_key_file: JWT bearer, with client_id.
        access_token: an existing token, which cannot be refreshed.
        jwt_audience: replaces the audience that follows from the address.
    """

    instance_url: str
    client_id: str | None = None
    client_secret: str | None = None
    username: str | None = None
    private_key_file: Path | None = None
    access_token: str | None = None
    jwt_audience: str = ""

    @property
    def kind(self) -> LoginKind:
        """The way that is used; an access token comes first."""
        if self.access_token:
            return LoginKind.TOKEN
        return LoginKind.JWT if self.username and self.private_key_file else LoginKind.CLIENT_CREDENTIALS

    def missing(self) -> str | None:
        """Which settings are missing, in words; None when a login is possible."""
        lacking = [] if self.instance_url else ["SALESFORCE_INSTANCE_URL"]
        credentials = self._missing_credentials()
        return "; ".join([*lacking, credentials] if credentials else lacking) or None

    def _missing_credentials(self) -> str | None:
        if self.access_token or (self.client_id and (self.client_secret or (self.username and self.private_key_file))):
            return None
        if self.username or self.private_key_file:
            return "SALESFORCE_CLIENT_ID, SALESFORCE_USERNAME and SALESFORCE_PRIVATE_KEY_FILE together"
        return "SALESFORCE_CLIENT_ID and SALESFORCE_CLIENT_SECRET (or SALESFORCE_ACCESS_TOKEN)"

    def audience(self) -> str:
        """The `aud` of a JWT assertion."""
        if self.jwt_audience:
            return self.jwt_audience
        domain = domain_of(self.instance_url)
        is_sandbox = "--" in domain or not _SANDBOX_PARTS.isdisjoint(domain.split("."))
        return SANDBOX if is_sandbox else PRODUCTION
