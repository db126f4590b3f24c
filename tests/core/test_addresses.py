"""Strict parsing of addresses: an ambiguous text is not an address, and a password is never shown."""

import io
import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.addresses import (
    database_address,
    hide_passwords,
    is_host,
    is_loopback,
    is_proxy_address,
    is_web_address,
    web_address,
)
from connector.core.errors import ConfigurationError
from connector.crm.salesforce.domain import domain_of
from connector.report.logs import JsonLines
from connector.server.guards import is_own_name

PASSWORD = "s3cret-Word"
NOT_ONE_HOST = (
    "https://evil.example\\.my.salesforce.com",
    "https://evil.example\\@acme.my.salesforce.com",
    "https://evil.example%5c.my.salesforce.com",
    "https://acme.my.salesforce.com\\",
    "https://acme.my.salesforce.com/\\evil.example",
    "https://acme.my.salesforce.com/a b",
    "https://acme.my.salesforce.com/\x1b",
    "https://acme.my.salesforce.com/a\u202eb",
    "https://acme.my.salesforce.com?x=\x7f",
    "https://user@acme.my.salesforce.com",
    "https://user:pass@acme.my.salesforce.com",
    "https://@acme.my.salesforce.com",
    "https://evil.example@acme.my.salesforce.com",
    "https://evil[.example.my.salesforce.com",
    "https://[evil.example].my.salesforce.com",
    "https://[::1].my.salesforce.com",
    "https://[::1%25lo]/",
    "https://[::g]/",
    "https://acme.my.salesforce.com/[x]",
    "https://acme\t.my.salesforce.com",
    "https://acme\n.my.salesforce.com",
    "https://acme\x00.my.salesforce.com",
    "https://acme.my.salesforce.com\x7f",
    "https://acme .my.salesforce.com",
    " https://acme.my.salesforce.com",
    "https://acme\u202e.my.salesforce.com",
    "https://acme\uff0emy\uff0esalesforce.com",
    "https://evil.example\uff0f.my.salesforce.com",
    "https://evil_example.my.salesforce.com",
    "https://-acme.my.salesforce.com",
    "https://acme-.my.salesforce.com",
    "https://acme..my.salesforce.com",
    "https://.my.salesforce.com",
    f"https://{'a' * 64}.my.salesforce.com",
    "https:///acme.my.salesforce.com",
    "https:acme.my.salesforce.com",
    "https:/\\acme.my.salesforce.com",
    "https://acme.my.salesforce.com:",
    "https://acme.my.salesforce.com:0",
    "https://acme.my.salesforce.com:65536",
    "https://acme.my.salesforce.com:80:81",
    "https://acme.my.salesforce.com:8\u0660",
    "https://127.1",
    "https://0x7f000001",
    "https://2130706433",
    "https://1.2.3.4.5",
    "https://999.0.0.1",
    "https://01.02.03.04",
    "https://",
    "ftp://acme.my.salesforce.com",
    "javascript://acme.my.salesforce.com",
)
HOSTS = {
    "https://acme.my.salesforce.com": "acme.my.salesforce.com",
    "HTTPS://Acme--Uat.Sandbox.My.Salesforce.Com/": "acme--uat.sandbox.my.salesforce.com",
    "https://acme.my.salesforce.com:8443/services?x=1#y": "acme.my.salesforce.com",
    "https://xn--mller-kva.example.com": "xn--mller-kva.example.com",
    "https://[2001:db8::1]:8080/": "2001:db8::1",
    "http://127.0.0.1:8080": "127.0.0.1",
    "https://1password.example.com": "1password.example.com",
}


def test_ambiguous_texts_are_not_addresses(subtests: pytest.Subtests) -> None:
    for url in NOT_ONE_HOST:
        with subtests.test(url=url):
            assert not is_web_address(url)
            assert not is_loopback(url)
            with pytest.raises(ConfigurationError):
                domain_of(url)


def test_the_host_of_an_address(subtests: pytest.Subtests) -> None:
    for url, host in HOSTS.items():
        with subtests.test(url=url, host=host):
            found = web_address(url)
            assert found is not None
            assert found.host == host


@given(st.text(alphabet=st.sampled_from("a.:/\\@[]%#?0x1-_ \t\u3002\uff0f")))
def test_a_host_is_letters_digits_hyphens_and_dots_or_ipv6(text: str) -> None:
    found = web_address(f"https://{text}.my.salesforce.com")
    assert found is None or set(found.host) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-:")
    assert found is None or is_host(found.host) or is_host(f"[{found.host}]")


NOT_OURS: list[str] = ["localhost\\.evil.example", "evil.example\\@localhost", "evil@localhost", "a b", "[x]"]


def test_a_host_header_is_parsed_as_strictly() -> None:
    wrong = [host for host in NOT_OURS if is_own_name(host)]
    assert wrong == []


OURS: list[str] = ["", "localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080", "x.localhost"]


def test_our_own_names() -> None:
    wrong = [host for host in OURS if not is_own_name(host)]
    assert wrong == []


PROXIES: list[tuple[str, bool]] = [
    ("http://proxy.example.com:3128", True),
    ("http://user:pa55@proxy.example.com:3128", True),
    ("http://user@@proxy.example.com", False),
    ("http://user:pa\\55@proxy.example.com", False),
    ("http://proxy.example.com\\@evil.example", False),
]


def test_proxies() -> None:
    wrong = [(url, usable, got) for url, usable in PROXIES if (got := is_proxy_address(url)) is not usable]
    assert wrong == []


DATABASES: list[tuple[str, str]] = [
    (f"postgresql://user:{PASSWORD}@db.example.com:5433/ledger", "db.example.com:5433/ledger"),
    (f"postgresql://db.example.com/ledger?user=u&password={PASSWORD}", "db.example.com/ledger"),
    (f"postgresql://u:{PASSWORD}%40%2F@[::1]:5433/ledger?sslmode=require", "[::1]:5433/ledger"),
    (f"postgresql:///ledger?host=/var/run/postgresql&password={PASSWORD}", "/var/run/postgresql/ledger"),
    (
        f"postgresql:///ledger?host=a.example.com,b.example.com&password={PASSWORD}",
        "a.example.com,b.example.com/ledger",
    ),
    (f"postgresql+psycopg://u:{PASSWORD}@h/d?sslpassword={PASSWORD}", "h/d"),
]


def test_a_database_address_is_shown_without_user_and_password() -> None:
    wrong = [(url, shown, got) for url, shown in DATABASES if (got := str(database_address(url))) != shown]
    assert wrong == []


NO_CERTAIN_END: list[str] = [
    f"postgresql://u:p@{PASSWORD}@host/db",
    f"postgresql://u:p/{PASSWORD}@host/db",
    f"postgresql://u:12/{PASSWORD}@host/db",
    f"postgresql://u:p?{PASSWORD}@host/db",
    f"postgresql://u:p#{PASSWORD}@host/db",
    f"postgresql://u:p\\{PASSWORD}@host/db",
    f"postgresql://host/db@{PASSWORD}",
    f"postgresql://u:{PASSWORD}@host",
    f"postgresql://u:{PASSWORD}@host:99999/db",
    f"postgresql://u:{PASSWORD} x@host/db",
]


def test_an_ambiguous_password_is_refused() -> None:
    wrong = [(url, got) for url in NO_CERTAIN_END if (got := database_address(url)) is not None]
    assert wrong == []


TEXTS: list[str] = [
    f"could not connect: postgresql://user:{PASSWORD}@db.example.com/ledger failed",
    f"postgresql://u:p@x/{PASSWORD}@host/db",
    f"invalid dsn: host=db password={PASSWORD} dbname=x",
    f"invalid dsn: host=db password = '{PASSWORD} and more' dbname=x",
    f"postgresql://h/db?password={PASSWORD}&x=1",
    f"postgresql://h/db?options=1&sslpassword={PASSWORD}",
    f"PGPASSWORD={PASSWORD}",
    f"password%3d{PASSWORD}",
]


def test_library_texts_are_shown_without_passwords(subtests: pytest.Subtests) -> None:
    for text in TEXTS:
        with subtests.test(text=text):
            assert PASSWORD not in hide_passwords(text)
            assert "and more" not in hide_passwords(text)
            record = logging.LogRecord("psycopg.pool", logging.WARNING, "", 0, text, (), None)
            record.place = text
            line = JsonLines().format(record)
            assert PASSWORD not in line
            assert json.load(io.StringIO(line))["level"] == "warning"


def test_other_texts_are_unchanged() -> None:
    text = "Salesforce refuses the login: check SALESFORCE_CLIENT_ID; see https://example.com/a?b=c"
    assert hide_passwords(text) == text
