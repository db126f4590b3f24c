"""`connector serve` refuses to start with a door that has no lock, and names the setting that is missing."""

import pytest
from pydantic import SecretStr

from connector.app.joining import Configured
from connector.app.serving import SHORTEST_SECRET, check_doors
from connector.config import Settings
from connector.core.errors import ConfigurationError

EVERYWHERE = "0.0.0.0"  # noqa: S104 what is refused
GOOD = "a-long-enough-secret"
ORG = "00D000000000001EAA"
TOKEN, MESSAGES = "CONNECTOR_TRIGGER_TOKEN", "CONNECTOR_OUTBOUND_MESSAGE_SECRET"


def doors(token: str | None = None, message_secret: str | None = None, org: str = "") -> Configured:
    settings = Settings(
        connector_trigger_token=None if token is None else SecretStr(token),
        connector_outbound_message_secret=None if message_secret is None else SecretStr(message_secret),
        connector_salesforce_org_id=org,
    )
    return Configured(settings, {}, None)


def refusal(configured: Configured, host: str = "127.0.0.1") -> str:
    with pytest.raises(ConfigurationError) as raised:
        check_doors(configured, host)
    assert raised.value.exit_code == 2
    return str(raised.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "localhost", "::1"])
def test_on_this_machine_alone_no_token_is_needed(host: str) -> None:
    check_doors(doors(), host)


@pytest.mark.parametrize(
    "host",
    [EVERYWHERE, "::", "10.0.0.7", "", "example.com", "127.0.0.1.example.com", "localhost.example.com", "fe80::1"],
)  # fmt: skip
def test_where_others_reach_it_a_token_is_needed(host: str) -> None:
    words = refusal(doors(), host)
    assert TOKEN in words
    assert "secrets.token_urlsafe" in words
    check_doors(doors(token=GOOD), host)


@pytest.mark.parametrize("host", ["127.0.0.1", EVERYWHERE])
@pytest.mark.parametrize("secret", ["", "short", "x" * (SHORTEST_SECRET - 1)])
def test_secrets_that_could_be_guessed_are_refused_by_name(host: str, secret: str) -> None:
    for name, configured in ((TOKEN, doors(token=secret)), (MESSAGES, doors(GOOD, message_secret=secret, org=ORG))):
        words = refusal(configured, host)
        assert words == f"{name} must have at least 16 characters"
    check_doors(doors(token="x" * SHORTEST_SECRET), host)


def test_half_of_the_outbound_message_settings_is_refused() -> None:
    for configured in (doors(message_secret=GOOD), doors(org=ORG)):
        words = refusal(configured)
        assert MESSAGES in words
        assert "CONNECTOR_SALESFORCE_ORG_ID" in words
        assert GOOD not in words
    check_doors(doors(message_secret=GOOD, org=ORG), "127.0.0.1")


@pytest.mark.parametrize(
    "secret", ["with a blank inside it", " fourteen-and-two ", "schlüssel-mit-umlaut", "quoted'secret'text"]
)
def test_secrets_that_no_header_or_address_can_carry_are_refused(secret: str) -> None:
    assert "may hold letters" in refusal(doors(token=secret))


@pytest.mark.parametrize("org", ["my-org", "00D", "00D000000000001XXX"])
def test_an_org_id_that_is_none_is_refused(org: str) -> None:
    assert "Company Information" in refusal(doors(message_secret=GOOD, org=org))
