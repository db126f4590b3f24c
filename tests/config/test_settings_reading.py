"""Settings from the environment and `.env`: their values, and errors that name the setting, never its value."""

import os
from itertools import product
from pathlib import Path

import pytest
from pydantic import SecretStr

from connector.app.wiring import Configured, configure, open_ledger
from connector.config import Settings, check_url, env_file_here, read_settings
from connector.core.addresses import is_loopback
from connector.core.errors import ConfigurationError
from connector.crm.salesforce.settings import SalesforceSettings
from connector.engine.context import AccountLimits
from connector.providers.lensmor import LensmorSettings
from connector.providers.salesfinity import SalesfinitySettings

PREFIXES = ("SALESFORCE_", "LENSMOR_", "SALESFINITY_", "CONNECTOR_")
HTTPS = "must start with https:// (http is only for this machine's own addresses)"
ADDRESS = (
    "must be a web address such as https://example.com, whose host has letters, digits, hyphens and dots only (an IPv6 "
    "address goes in brackets), and whose port, if any, is 1 to 65535"
)
PLAIN = "must be a plain address, without user, query or fragment"


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Remove the machine's settings, and use an empty working directory."""
    for name in list(os.environ):
        if name.upper().startswith(PREFIXES):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def configured(monkeypatch: pytest.MonkeyPatch, **values: str) -> Configured:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return configure(env_file_here())


def refusal(monkeypatch: pytest.MonkeyPatch, **values: str) -> str:
    with pytest.raises(ConfigurationError) as raised:
        configured(monkeypatch, **values)
    assert raised.value.exit_code == 2
    return str(raised.value)


# -- what each setting means ------------------------------------------------------------------------------------


def test_defaults_are_the_documented_ones(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = configured(monkeypatch)
    settings = found.settings
    assert found.crms == {"salesforce": SalesforceSettings()}
    assert SalesforceSettings().instance_url == ""
    assert SalesforceSettings().api_version == "67.0"
    assert SalesforceSettings().api_reserve_percent == 20
    assert settings.connector_poll_seconds is None
    assert settings.connector_wait_seconds == 900
    assert settings.connector_time_scale == 1
    assert settings.connector_undo_days == 30
    assert (settings.connector_keep_days, settings.keep_days) == (400, 400)
    lensmor, salesfinity = found.providers["lensmor"], found.providers["salesfinity"]
    assert isinstance(lensmor, LensmorSettings)
    assert isinstance(salesfinity, SalesfinitySettings)
    assert (lensmor.base_url, salesfinity.base_url) == (
        "https://platform.lensmor.com",
        "https://client-api.salesfinity.co",
    )
    assert (lensmor.email_credits, lensmor.phone_credits, lensmor.credit_reserve) == (15, 150, 0)
    for each in (lensmor, salesfinity):
        assert (each.api_key, each.account, each.requests_per_minute) == (None, "default", 60)
    assert found.limits() == {"lensmor": AccountLimits(), "salesfinity": AccountLimits()}
    assert found.ledger_url() == f"sqlite:///{tmp_path / 'connector.db'}"


def test_every_setting_has_its_documented_name(monkeypatch: pytest.MonkeyPatch) -> None:
    found = configured(
        monkeypatch,
        SALESFORCE_INSTANCE_URL="https://example.my.salesforce.com",
        SALESFORCE_CLIENT_ID="client",
        SALESFORCE_CLIENT_SECRET="s1",
        SALESFORCE_USERNAME="sync@example.com",
        SALESFORCE_PRIVATE_KEY_FILE="/keys/jwt.pem",
        SALESFORCE_ACCESS_TOKEN="s2",
        SALESFORCE_API_VERSION="66.0",
        SALESFORCE_API_RESERVE_PERCENT="30",
        CONNECTOR_OUTBOUND_MESSAGE_SECRET="s6",
        CONNECTOR_SALESFORCE_ORG_ID="00D000000000001EAA",
        CONNECTOR_DATABASE_URL="sqlite:////data/ledger.db",
        CONNECTOR_SECRET_KEY="s3",
        CONNECTOR_POLL_SECONDS="1, 2.5,60",
        CONNECTOR_WAIT_SECONDS="60",
        CONNECTOR_UNDO_DAYS="7",
        CONNECTOR_KEEP_DAYS="90",
        LENSMOR_API_KEY="s4",
        LENSMOR_BASE_URL="https://lensmor.example",
        LENSMOR_ACCOUNT="emea",
        LENSMOR_EMAIL_CREDITS="20",
        LENSMOR_PHONE_CREDITS="200",
        LENSMOR_CREDIT_RESERVE="500",
        LENSMOR_REQUESTS_PER_MINUTE="30",
        SALESFINITY_API_KEY="s5",
        SALESFINITY_BASE_URL="https://salesfinity.example",
        SALESFINITY_ACCOUNT="team",
        SALESFINITY_REQUESTS_PER_MINUTE="10",
        CONNECTOR_MAX_CREDITS_PER_DAY_LENSMOR="3000",
        CONNECTOR_MAX_CREDITS_PER_MONTH_LENSMOR="30000",
        CONNECTOR_MAX_CREDITS_PER_DAY_SALESFINITY="20",
        CONNECTOR_MAX_CREDITS_PER_MONTH_SALESFINITY="200",
    )
    assert found.crms["salesforce"] == SalesforceSettings(
        instance_url="https://example.my.salesforce.com",
        client_id="client",
        client_secret=SecretStr("s1"),
        username="sync@example.com",
        private_key_file=Path("/keys/jwt.pem"),
        access_token=SecretStr("s2"),
        api_version="66.0",
        api_reserve_percent=30,
        outbound_message_secret=SecretStr("s6"),
        org_id="00D000000000001EAA",
    )
    expected = {
        "connector_database_url": "sqlite:////data/ledger.db",
        "connector_secret_key": SecretStr("s3"),
        "connector_poll_seconds": (1.0, 2.5, 60.0),
        "connector_wait_seconds": 60.0,
        "connector_undo_days": 7,
        "connector_keep_days": 90,
    }
    assert {name: getattr(found.settings, name) for name in expected} == expected
    lensmor, salesfinity = found.providers["lensmor"], found.providers["salesfinity"]
    assert isinstance(lensmor, LensmorSettings)
    assert (lensmor.api_key, lensmor.base_url, lensmor.account) == (SecretStr("s4"), "https://lensmor.example", "emea")
    assert (lensmor.email_credits, lensmor.phone_credits, lensmor.requests_per_minute) == (20, 200, 30)
    assert salesfinity.api_key == SecretStr("s5")
    assert (salesfinity.base_url, salesfinity.account) == ("https://salesfinity.example", "team")
    assert salesfinity.requests_per_minute == 10
    assert found.limits() == {
        "lensmor": AccountLimits(3000, 30000, 500),
        "salesfinity": AccountLimits(20, 200, 0),
    }
    assert found.ledger_url() == "sqlite:////data/ledger.db"


def test_secrets_are_hidden_in_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    found = configured(monkeypatch, SALESFORCE_CLIENT_SECRET="hunter2", LENSMOR_API_KEY="hunter2")
    assert "hunter2" not in repr(found) + str(found.settings) + str(found.crms) + str(found.providers)


def test_details_are_kept_as_long_as_a_run_can_be_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    message = refusal(monkeypatch, CONNECTOR_UNDO_DAYS="90", CONNECTOR_KEEP_DAYS="89")
    assert message == (
        "CONNECTOR_KEEP_DAYS: must be at least CONNECTOR_UNDO_DAYS (90): a run can be undone only with its details"
    )
    assert configured(monkeypatch, CONNECTOR_UNDO_DAYS="90", CONNECTOR_KEEP_DAYS="90").settings.keep_days == 90
    monkeypatch.delenv("CONNECTOR_KEEP_DAYS")
    assert configured(monkeypatch, CONNECTOR_UNDO_DAYS="3650").settings.keep_days == 3650


# -- where settings come from -----------------------------------------------------------------------------------


def test_the_env_file_is_read_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LENSMOR_ACCOUNT=grün\nCONNECTOR_UNDO_DAYS=5\nOTHER_TOOL=x\n", encoding="utf-8")
    found = configured(monkeypatch, CONNECTOR_UNDO_DAYS="6")
    assert found.env_file == tmp_path / ".env"
    assert found.providers["lensmor"].account == "grün"
    assert found.settings.connector_undo_days == 6


def test_the_ledger_is_beside_the_env_file(tmp_path: Path) -> None:
    folder = tmp_path / "conf"
    folder.mkdir()
    (folder / ".env").write_text("CONNECTOR_UNDO_DAYS=5\n")
    assert configure(folder / ".env").ledger_url() == f"sqlite:///{folder / 'connector.db'}"


def test_without_an_env_file(tmp_path: Path) -> None:
    assert env_file_here() is None
    (tmp_path / ".env").mkdir()
    assert env_file_here() is None


@pytest.mark.parametrize(
    "name", ["CONNECTOR_POLL_SECONDS", "LENSMOR_ACCOUNT", "SALESFORCE_API_VERSION", "CONNECTOR_WAIT_SECONDS"]
)
def test_an_empty_value_counts_as_absent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    empty, unset = configured(monkeypatch, **{name: ""}), Settings()
    assert empty.settings == unset
    assert empty.providers["lensmor"].account == "default"
    monkeypatch.delenv(name)
    (tmp_path / ".env").write_text(f"{name}=\n")
    assert configured(monkeypatch).settings == unset


def test_an_env_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"LENSMOR_ACCOUNT=\xff\xfe\n")
    with pytest.raises(ConfigurationError, match=r"settings file .* cannot be read"):
        read_settings(Settings, tmp_path / ".env")


# -- what is refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("3,5,10,20", (3.0, 5.0, 10.0, 20.0)), ("7", (7.0,)), (" 0.5 , 3600 ", (0.5, 3600.0))],
)
def test_poll_seconds_are_a_list(monkeypatch: pytest.MonkeyPatch, text: str, seconds: tuple[float, ...]) -> None:
    assert configured(monkeypatch, CONNECTOR_POLL_SECONDS=text).settings.connector_poll_seconds == seconds


SECONDS = "CONNECTOR_POLL_SECONDS: write seconds separated by commas, such as 3,5,10,20"
RANGE = "CONNECTOR_POLL_SECONDS: each must be above 0 and at most 3600 seconds"


POLL_SECONDS: list[tuple[str, str]] = [
    ("3;5", SECONDS),
    ("3,,5", SECONDS),
    ("[3,5]", SECONDS),
    ("soon", SECONDS),
    ("0,5", RANGE),
    ("-3", RANGE),
    ("3601", RANGE),
    ("nan", RANGE),
    ("inf", RANGE),
]


def test_other_poll_seconds_are_refused(subtests: pytest.Subtests) -> None:
    for text, words in POLL_SECONDS:
        with subtests.test(text=text, words=words), pytest.MonkeyPatch.context() as monkeypatch:
            assert refusal(monkeypatch, CONNECTOR_POLL_SECONDS=text) == words


WRONG: list[tuple[str, str, str]] = [
    ("SALESFORCE_API_VERSION", "v67", "must be a version such as 67.0"),
    ("SALESFORCE_API_VERSION", "67", "must be a version such as 67.0"),
    ("SALESFORCE_API_RESERVE_PERCENT", "100", "must be from 0 to 99"),
    ("SALESFORCE_API_RESERVE_PERCENT", "a4711", "must be a whole number, such as 20"),
    ("CONNECTOR_WAIT_SECONDS", "-4711", "must be from 0 to 86,400"),
    ("CONNECTOR_WAIT_SECONDS", "4711 s", "must be a number, such as 900 or 0.5"),
    ("CONNECTOR_TIME_SCALE", "0.0", "must be above 0 and at most 1"),
    ("CONNECTOR_TIME_SCALE", "4711", "must be above 0 and at most 1"),
    ("CONNECTOR_TIME_SCALE", "x4711", "must be a number, such as 1 or 0.5"),
    ("CONNECTOR_KEEP_DAYS", "29", "must be from 30 to 36,500"),
    ("CONNECTOR_UNDO_DAYS", "x4711", "must be a whole number, such as 30"),
    ("CONNECTOR_UNDO_DAYS", "4711", "must be from 0 to 3,650"),
    ("LENSMOR_EMAIL_CREDITS", "-4711", "must be from 0 to 10,000,000"),
    ("LENSMOR_CREDIT_RESERVE", "x4711", "must be a whole number"),
    ("LENSMOR_REQUESTS_PER_MINUTE", "0.0x", "must be a whole number"),
    ("SALESFINITY_REQUESTS_PER_MINUTE", "-4711", "must be from 1 to 100,000"),
    ("LENSMOR_ACCOUNT", "4711" * 21, "at most 80 characters"),
    ("CONNECTOR_MAX_CREDITS_PER_DAY_LENSMOR", "-4711", "must be from 0 to 1,000,000,000,000,000"),
    ("CONNECTOR_MAX_CREDITS_PER_MONTH_SALESFINITY", "many4711", "must be a whole number"),
]


def test_an_error_names_the_setting_but_not_its_value(subtests: pytest.Subtests) -> None:
    for name, value, words in WRONG:
        with subtests.test(name=name, value=value, words=words), pytest.MonkeyPatch.context() as monkeypatch:
            message = refusal(monkeypatch, **{name: value})
            assert message.startswith(f"{name}: ")
            assert words in message
            assert value not in message.replace("67.0", "")


def test_wrong_settings_of_a_group_are_reported_together(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = refusal(monkeypatch, CONNECTOR_WAIT_SECONDS="x", CONNECTOR_UNDO_DAYS="y").splitlines()
    assert [line.partition(":")[0] for line in lines] == ["CONNECTOR_WAIT_SECONDS", "CONNECTOR_UNDO_DAYS"]


# -- addresses --------------------------------------------------------------------------------------------------


ADDRESSES: list[tuple[str, str]] = [
    ("http://lensmor.example", HTTPS),
    ("http://127.0.0.1.evil.example", HTTPS),
    ("http://localhost.evil.example", HTTPS),
    ("http://10.0.0.1", HTTPS),
    ("lensmor.example", ADDRESS),
    ("https://", ADDRESS),
    ("ftp://lensmor.example", ADDRESS),
    ("https://lensmor.example:99999", ADDRESS),
    ("https://[lensmor", ADDRESS),
    ("https://user:hunter2@lensmor.example", PLAIN),
    ("https://:hunter2@lensmor.example", PLAIN),
    ("https://lensmor.example/?key=hunter2", PLAIN),
    ("https://lensmor.example/#x", PLAIN),
]


def test_addresses_are_https_and_plain(subtests: pytest.Subtests) -> None:
    for (url, words), name in product(
        ADDRESSES, ("SALESFORCE_INSTANCE_URL", "LENSMOR_BASE_URL", "SALESFINITY_BASE_URL")
    ):
        with subtests.test(url=url, words=words, name=name), pytest.MonkeyPatch.context() as monkeypatch:
            assert refusal(monkeypatch, **{name: url}) == f"{name} {words}"


LOOPBACK: list[str] = [
    "http://127.0.0.1:8080",
    "http://localhost:8080",
    "http://[::1]:8080",
    "http://127.9.9.9",
    "https://x.example/",
]


def test_loopback_may_be_http(subtests: pytest.Subtests) -> None:
    for url in LOOPBACK:
        with subtests.test(url=url), pytest.MonkeyPatch.context() as monkeypatch:
            found = configured(monkeypatch, LENSMOR_BASE_URL=url, SALESFORCE_INSTANCE_URL=url)
            assert found.providers["lensmor"].base_url == url
            assert check_url("X", url) == url.rstrip("/")


THIS_MACHINE: list[tuple[str, bool]] = [
    ("http://127.0.0.1:1", True),
    ("https://LOCALHOST", True),
    ("http://[::1]", True),
    ("http://127.0.0.1.example", False),
    ("http://localhost.example", False),
    ("http://128.0.0.1", False),
    ("http://0.0.0.0", False),
    ("http://[", False),
    ("", False),
]


def test_loopback_addresses() -> None:
    wrong = [(url, here, got) for url, here in THIS_MACHINE if (got := is_loopback(url)) is not here]
    assert wrong == []


LOCAL = {
    "SALESFORCE_INSTANCE_URL": "http://127.0.0.1:1",
    "LENSMOR_BASE_URL": "http://127.0.0.1:2",
    "LENSMOR_API_KEY": "k",
    "SALESFINITY_BASE_URL": "http://localhost:3",
    "SALESFINITY_API_KEY": "k",
    "CONNECTOR_TIME_SCALE": "0.01",
}


def test_time_may_be_scaled_if_all_sites_are_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    assert configured(monkeypatch, **LOCAL).settings.connector_time_scale == 0.01


@pytest.mark.parametrize(
    "change",
    [
        {"SALESFORCE_INSTANCE_URL": "https://example.my.salesforce.com"},
        {"SALESFORCE_INSTANCE_URL": ""},
        {"LENSMOR_BASE_URL": ""},
        {"SALESFINITY_BASE_URL": "https://salesfinity.example"},
    ],
)
def test_time_is_not_scaled_for_real_vendors(monkeypatch: pytest.MonkeyPatch, change: dict[str, str]) -> None:
    assert "CONNECTOR_TIME_SCALE shortens waits" in refusal(monkeypatch, **(LOCAL | change))


def test_an_unused_vendor_does_not_prevent_scaling(monkeypatch: pytest.MonkeyPatch) -> None:
    unused = LOCAL | {"SALESFINITY_BASE_URL": "", "SALESFINITY_API_KEY": ""}
    assert configured(monkeypatch, **unused).settings.connector_time_scale == 0.01


# -- the ledger's place -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite:////nowhere/at/all/x.db", "there is no folder /nowhere/at/all"),
        ("not an address", "CONNECTOR_DATABASE_URL must be sqlite:///path or postgresql://user@host/database"),
        ("sqlite://host:port/x", "three slashes, then the path"),
    ],
)
def test_an_impossible_ledger_location_is_refused(monkeypatch: pytest.MonkeyPatch, url: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        open_ledger(configured(monkeypatch, CONNECTOR_DATABASE_URL=url))


def test_a_file_that_is_not_a_ledger_is_refused_and_unchanged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    other.write_text("somebody's notes, long enough to be read as a database header at first sight " * 3)
    before = other.read_bytes()
    key = "A" * 43 + "="
    with pytest.raises(ConfigurationError, match="names a file that is not a ledger"):
        open_ledger(configured(monkeypatch, CONNECTOR_DATABASE_URL=f"sqlite:///{other}", CONNECTOR_SECRET_KEY=key))
    assert other.read_bytes() == before
