"""`connector serve` refuses to start without the secrets that callers must know, and names the missing setting."""

import pytest
from pydantic import SecretStr

from connector.app.serving import check_exposure
from connector.app.wiring import Configured
from connector.config import Settings
from connector.core.errors import ConfigurationError
from connector.core.shared_secret import SHORTEST_SECRET
from connector.crm.salesforce.settings import SalesforceSettings

GOOD = "a-long-enough-secret"
ORG = "00D000000000001EAA"
TOKEN, MESSAGES = "CONNECTOR_TRIGGER_TOKEN", "CONNECTOR_OUTBOUND_MESSAGE_SECRET"


def settings_with(token: str | None = None, message_secret: str | None = None, org: str = "") -> Configured:
    settings = Settings(
        connector_trigger_token=None if token is None else SecretStr(token),
    )
    salesforce = SalesforceSettings(
        outbound_message_secret=None if message_secret is None else SecretStr(message_secret), org_id=org
    )
    return Configured(settings, {"salesforce": salesforce}, {}, None)


def refusal(configured: Configured) -> str:
    with pytest.raises(ConfigurationError) as raised:
        check_exposure(configured)
    assert raised.value.exit_code == 2
    return str(raised.value)


def test_a_token_is_required_on_loopback_too() -> None:
    words = refusal(settings_with())
    assert words.startswith(f"{TOKEN} is missing, and serve needs it on every address, 127.0.0.1 included")
    command = words.partition("python3 -c ")[2].strip('"')
    printed: list[str] = []
    exec(command, {"print": printed.append})  # noqa: S102 the command that the message gives
    check_exposure(settings_with(token=printed[0]))
    check_exposure(settings_with(token=GOOD))


@pytest.mark.parametrize("secret", ["", "short", "x" * (SHORTEST_SECRET - 1)])
def test_weak_secrets_are_refused(secret: str) -> None:
    for name, configured in (
        (TOKEN, settings_with(token=secret)),
        (MESSAGES, settings_with(GOOD, message_secret=secret, org=ORG)),
    ):
        words = refusal(configured)
        assert words == f"{name} must have at least 16 characters"
    check_exposure(settings_with(token="x" * SHORTEST_SECRET))


def test_incomplete_outbound_message_settings_are_refused() -> None:
    for configured in (settings_with(GOOD, message_secret=GOOD), settings_with(GOOD, org=ORG)):
        words = refusal(configured)
        assert MESSAGES in words
        assert "CONNECTOR_SALESFORCE_ORG_ID" in words
        assert GOOD not in words
    check_exposure(settings_with(GOOD, message_secret=GOOD, org=ORG))


@pytest.mark.parametrize(
    "secret", ["with a blank inside it", " fourteen-and-two ", "schlüssel-mit-umlaut", "quoted'secret'text"]
)
def test_secrets_with_invalid_characters_are_refused(secret: str) -> None:
    assert "may hold letters" in refusal(settings_with(token=secret))


@pytest.mark.parametrize("org", ["my-org", "00D", "00D000000000001XXX"])
def test_an_invalid_org_id_is_refused(org: str) -> None:
    assert "Company Information" in refusal(settings_with(GOOD, message_secret=GOOD, org=org))
