"""Salesforce's settings and registration. The adapter, with its HTTP libraries, is loaded by the first connection."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from pydantic import Field, SecretStr, field_validator

from connector.core.errors import ConfigurationError
from connector.core.shared_secret import check_shared_secret
from connector.crm.interface import Crm
from connector.crm.registration import CrmConnection, CrmRegistration, CrmSettings, InboundAccess
from connector.crm.salesforce.ids import SalesforceIds, to_18
from connector.crm.salesforce.inbound_route import OUTBOUND_MESSAGES
from connector.crm.salesforce.login import Login
from connector.crm.salesforce.names import LABEL, NAME
from connector.crm.starting import Starter

DEFAULT_API_VERSION = "67.0"  # Summer '26
_SECRET, _ORG_ID = "CONNECTOR_OUTBOUND_MESSAGE_SECRET", "CONNECTOR_SALESFORCE_ORG_ID"  # names of settings


class SalesforceSettings(CrmSettings):
    """`SALESFORCE_*`, and what senders of Outbound Messages must show."""

    prefix: ClassVar[str] = "SALESFORCE_"

    instance_url: str = ""
    client_id: str | None = None
    client_secret: SecretStr | None = None
    username: str | None = None
    private_key_file: Path | None = None
    access_token: SecretStr | None = None
    jwt_audience: str = ""
    api_version: str = Field(default=DEFAULT_API_VERSION)
    outbound_message_secret: SecretStr | None = None
    org_id: str = ""

    @classmethod
    def documented_names(cls) -> dict[str, str]:
        """The settings of the inbound route belong to the connector."""
        return {"outbound_message_secret": _SECRET, "org_id": _ORG_ID}

    @field_validator("jwt_audience")
    @classmethod
    def _https(cls, value: str) -> str:
        if value and not re.fullmatch(r"https://\S+", value):
            raise ValueError("must be a web address that begins with https://")
        return value

    @field_validator("api_version")
    @classmethod
    def _version(cls, value: str) -> str:
        if not re.fullmatch(r"[0-9]{2,3}\.0", value):
            raise ValueError(f"must be a version such as {DEFAULT_API_VERSION}")
        return value

    @property
    def address(self) -> str:
        """The org's My Domain address."""
        return self.instance_url

    def addresses(self) -> Mapping[str, str]:
        """The org's address and the audience of a JWT."""
        return {"SALESFORCE_INSTANCE_URL": self.instance_url, "SALESFORCE_JWT_AUDIENCE": self.jwt_audience}

    def record_url(self, record_id: str) -> str:
        """Salesforce leads an id to the right page, in Lightning and in Classic."""
        return f"{self.instance_url.rstrip('/')}/{record_id}" if self.instance_url and to_18(record_id) else ""

    def missing(self) -> str | None:
        """The settings that one of the three logins lacks."""
        return self.login().missing()

    def login(self) -> Login:
        """How to log in, complete or not."""
        secret, token = self.client_secret, self.access_token
        return Login(
            instance_url=self.instance_url.rstrip("/"),
            client_id=self.client_id,
            client_secret=secret.get_secret_value() if secret else None,
            username=self.username,
            private_key_file=self.private_key_file,
            access_token=token.get_secret_value() if token else None,
            jwt_audience=self.jwt_audience,
        )

    def inbound_access(self) -> InboundAccess | None:
        """The secret of the path and the org that may send Outbound Messages."""
        if self.org_id and not SalesforceIds().full(self.org_id):
            raise ConfigurationError(f"{_ORG_ID} is no id: copy it from Setup, Company Information")
        if (self.outbound_message_secret is None) is not (not self.org_id):
            raise ConfigurationError(f"Outbound Messages need both {_SECRET} and {_ORG_ID}")
        if self.outbound_message_secret is None:
            return None
        secret = self.outbound_message_secret.get_secret_value()
        check_shared_secret(_SECRET, secret)
        return InboundAccess(secret, self.org_id)


def _connect(settings: CrmSettings, connection: CrmConnection) -> Crm:
    if not isinstance(settings, SalesforceSettings):
        raise TypeError("Salesforce is connected with SalesforceSettings")
    from connector.crm.salesforce.client import Client
    from connector.crm.salesforce.site import SalesforceCrm

    return SalesforceCrm(
        Client(
            settings.login(),
            settings.api_version,
            settings.api_reserve_percent,
            connection.sleep,
            connection.network,
            explain=connection.explain,
        )
    )


def _starter() -> Starter:
    from connector.crm.salesforce.starter import SalesforceStarter

    return SalesforceStarter()


REGISTRATION = CrmRegistration(
    name=NAME,
    label=LABEL,
    ids=SalesforceIds(),
    settings=SalesforceSettings,
    connect=_connect,
    inbound=OUTBOUND_MESSAGES,
    starter=_starter,
)
