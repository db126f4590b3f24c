"""A password in a setting is never shown, however the setting is misspelt."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from connector.app.configuring import Configured, survey
from connector.config import Settings
from connector.config.environment import read_values

PASSWORD = "S3CRETWORD"
LINES = (
    f"CONNECTOR_DATABASE_URL=postgresql://u:{PASSWORD}@@host/db",
    f"CONNECTOR_DATABASE_URL=postgresql://u:p/{PASSWORD}@host/db",
    f"CONNECTOR_DATABASE_URL=postgresql://u:{PASSWORD}@host",
    f"CONNECTOR_DATABASE_URL=sqlite:postgresql://u:{PASSWORD}@host/db",
    f"CONNECTOR_DATABASE_URL=sqlite:///x.db?password={PASSWORD}",
    f"CONNECTOR_DATABASE_URL=postgresql://u:{PASSWORD}@host:99999/db",
    f"CONNECTOR_DATABASE_URL=postgres://u:{PASSWORD}@host/db",
    f"CONNECTOR_DATABASE_URL=mysql://u:{PASSWORD}@host/db",
    f"CONNECTOR_DATABASE_URL=host=h dbname=d user=u password={PASSWORD}",
    f"CONNECTOR_DATABASE_URL=file:postgresql://u:{PASSWORD}@host/db",
    f"CONNECTOR_DATABASE_URL=file:host=h password={PASSWORD}",
    f"CONNECTOR_DATABASE_URL:postgresql://u:{PASSWORD}@host/db?sslmode=require",
    f"CONNECTOR_DATABASE_URL: postgresql://u:{PASSWORD}@host/db",
    f"CONNECTOR_DATABASE_URL postgresql://u:{PASSWORD}@host/db?sslmode=require",
    f"$env:CONNECTOR_DATABASE_URL:postgresql://u:{PASSWORD}@host/db?sslmode=require",
    f"CONNECTOR-DATABASE-URL/postgresql://u:{PASSWORD}@host/db?sslmode=require",
    f"CONNECTOR_DATABSE_URL=postgresql://u:{PASSWORD}@host/db",
    f"connector_database_url='postgresql://u:{PASSWORD}@host/db",
    f"SALESFORCE_INSTANCE_URL=https://u:{PASSWORD}@acme.my.salesforce.com",
    f"LENSMOR_BASE_URL=https://{PASSWORD}@lensmor.example.com",
    f"HUBSPOT_BASE_URL=https://{PASSWORD}@hubspot.example.com",
    f"SALESFORCE_JWT_AUDIENCE=https://{PASSWORD}@login.example.com",
    f"CONNECTOR_PUBLIC_URL=https://{PASSWORD}\\@example.com",
)


@pytest.mark.parametrize("line", LINES)
def test_problems_never_show_the_value(tmp_path: Path, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONNECTOR_DATABASE_URL", "SALESFORCE_INSTANCE_URL"):
        monkeypatch.delenv(name, raising=False)
    env_file = tmp_path / ".env"
    env_file.write_text(f"{line}\n")
    found = survey(env_file)
    assert found.problems
    for problem in found.problems:
        assert PASSWORD not in str(problem).upper()
    assert "DATABASE" not in line or PASSWORD not in repr(found).upper()
    assert PASSWORD not in found.configured.ledger_place().upper()


def test_an_invalid_name_is_shown_only_up_to_its_first_invalid_character() -> None:
    found = read_values(None, {f"CONNECTOR_DATABASE_URL:postgresql://u:{PASSWORD}@h/d": "x"})
    (problem,) = found.unknown({"CONNECTOR_DATABASE_URL"})
    assert PASSWORD not in str(problem)
    assert "CONNECTOR_DATABASE_URL" in str(problem)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://user:{PASSWORD}@db.example.com/ledger",
        f"postgresql://db.example.com/ledger?user=u&password={PASSWORD}",
        f"postgresql://db.example.com/ledger?password={PASSWORD}%40x&user=a@b",
        f"postgresql:///ledger?host=/tmp&password={PASSWORD}",
    ],
)
def test_the_location_of_a_ledger_has_no_password(url: str) -> None:
    settings = Settings(connector_database_url=url, connector_secret_key=SecretStr("-"))
    configured = Configured(settings, {}, {}, None)
    assert configured.ledger_url() == url
    assert configured.ledger_place().endswith("/ledger")
    assert PASSWORD not in configured.ledger_place()
    assert PASSWORD not in repr(configured)
    assert PASSWORD not in str(settings)
