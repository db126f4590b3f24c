"""Settings that are misspelt, missing, misquoted or in files: all problems are reported together, without values."""

import os
import time
from itertools import product
from pathlib import Path

import pytest
from pydantic import SecretStr

from connector.app.configuring import Configured, configure, known_settings, survey
from connector.config import read_values
from connector.core.errors import ConfigurationError
from connector.core.numerals import decimal_number, whole_number

PREFIXES = ("SALESFORCE_", "LENSMOR_", "SALESFINITY_", "CONNECTOR_", "HUBSPOT_")


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.upper().startswith(PREFIXES):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(name="env")
def _env(tmp_path: Path) -> Path:
    folder = tmp_path / "conf"
    folder.mkdir()
    return folder / ".env"


def read(env: Path, text: str | bytes) -> Configured:
    env.write_bytes(text if isinstance(text, bytes) else text.encode())
    return configure(env)


def refusal(env: Path, text: str | bytes) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        read(env, text)
    assert raised.value.exit_code == 2
    return [line.replace(str(env), ".env") for line in str(raised.value).splitlines()]


def secret(env: Path, text: str | bytes) -> str:
    found = read(env, text).providers["lensmor"].api_key
    return found.get_secret_value() if found else ""


# -- unknown names ----------------------------------------------------------------------------------------------


MISSPELT: list[tuple[str, str]] = [
    ("CONNECTOR_MAX_CREDITS_PER_DAY_LENSMOOR", "CONNECTOR_MAX_CREDITS_PER_DAY_LENSMOR"),
    ("CONNECTOR_MAX_CREDITS_PER_MONTH_LENSMORE", "CONNECTOR_MAX_CREDITS_PER_MONTH_LENSMOR"),
    ("CONNECTOR_MAX_CREDIT_PER_DAY_SALESFINITY", "CONNECTOR_MAX_CREDITS_PER_DAY_SALESFINITY"),
    ("LENSMOR_APIKEY", "LENSMOR_API_KEY"),
    ("lensmor_apikey", "LENSMOR_API_KEY"),
    ("SALESFINITY_API_KEYS", "SALESFINITY_API_KEY"),
    ("SALESFORCE_INSTANCE", "SALESFORCE_INSTANCE_URL"),
    ("HUBSPOT_TOKEN", "HUBSPOT_ACCESS_TOKEN"),
    ("CONNECTOR_ALERT_BALANCE_LENSMOOR", "CONNECTOR_ALERT_BALANCE_LENSMOR"),
]


def test_an_unknown_setting_is_refused_with_a_suggestion(env: Path, subtests: pytest.Subtests) -> None:
    for where, (name, near) in product(("environment", "file"), MISSPELT):
        with subtests.test(where=where, name=name, near=near), pytest.MonkeyPatch.context() as monkeypatch:
            if where == "environment":
                monkeypatch.setenv(name, "15")
            messages = refusal(env, f"{name}=15\n" if where == "file" else "")
            assert messages == [f"{name}: there is no such setting; did you mean {near}?"]


def test_an_unknown_empty_setting_is_refused(env: Path) -> None:
    assert refusal(env, "CONNECTOR_MAX_CREDITS=\n")[0].startswith("CONNECTOR_MAX_CREDITS: there is no such setting")


def test_a_dissimilar_name_gets_no_suggestion(env: Path) -> None:
    assert refusal(env, "CONNECTOR_X=1\n") == ["CONNECTOR_X: there is no such setting; remove it, or check its name"]


OF_OTHERS: list[str] = [
    "CONNECTOR_TEST_POSTGRES",
    "CONNECTOR_TEST_ANYTHING",
    "CONNECTOR_SERVICE_HOST",
    "CONNECTOR_SERVICE_PORT",
    "CONNECTOR_SERVICE_PORT_HTTP",
    "CONNECTOR_PORT",
    "CONNECTOR_PORT_80_TCP",
    "CONNECTOR_PORT_80_TCP_ADDR",
    "CONNECTOR_SERVE_SERVICE_HOST",
    "CONNECTOR_SERVE_PORT_8080_TCP_PROTO",
    "POSTGRES_PASSWORD",
    "PATH_OF_CONNECTOR_",
]


def test_foreign_names_in_the_environment_are_ignored(env: Path, subtests: pytest.Subtests) -> None:
    for name in OF_OTHERS:
        with subtests.test(name=name), pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setenv(name, "tcp://10.0.0.1:80")
            assert read(env, "LENSMOR_ACCOUNT=a\n").providers["lensmor"].account == "a"


CAP = "CONNECTOR_MAX_CREDITS_PER_DAY_LENSMOR"
WITHIN = f".env:1: {CAP}= is inside the value of "
SPELT = f".env:1: the name has characters that are not allowed; write {CAP}=value"
NO_SUCH = f"there is no such setting; did you mean {CAP}?"


def test_invisible_characters_do_not_hide_a_cap(env: Path) -> None:
    wrong = [
        (before, got)
        for before in ("\u200b", "\ufeff", "\u2060", "\u00a0", "export \u200b")
        if (got := read(env, f"LENSMOR_ACCOUNT=a\n{before}{CAP}=15\n").limits()["lensmor"].day) != 15
    ]
    assert wrong == []


def test_an_invisible_character_in_the_environment_does_not_hide_a_cap(
    env: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"\u200b{CAP}", "15")
    assert read(env, "").limits()["lensmor"].day == 15


LOST: list[tuple[str, str]] = [
    (f"$env:{CAP}=15\n", SPELT),
    (f'$Env:{CAP.lower()} = "15"\n', SPELT),
    (f"{CAP.replace('CONNECTOR_', 'CONNECTOR-')}=15\n", SPELT),
    (f"{CAP.replace('_', '-')}=15\n", SPELT),
    (f"{CAP.replace('_', '.').lower()}=15\n", SPELT),
    (f";{CAP}=15\n", SPELT),
    (f"\u201c{CAP}\u201d=15\n", SPELT),
    (f"CONECTOR{CAP[9:]}=15\n", f"CONECTOR{CAP[9:]}: {NO_SUCH}"),
    (f"_{CAP}=15\n", f"_{CAP}: {NO_SUCH}"),
    (f"LENSMOR_ACCOUNT=a {CAP}=15\n", f"{WITHIN}LENSMOR_ACCOUNT; put it on its own line"),
    (f"LENSMOR_ACCOUNT=a;{CAP} = 15\n", f"{WITHIN}LENSMOR_ACCOUNT; put it on its own line"),
    (f"LENSMOR_ACCOUNT='a\n{CAP}=15\nX='\n", f"{WITHIN}LENSMOR_ACCOUNT; put it on its own line"),
    (f"OTHER=a {CAP}=15\n", f"{WITHIN}OTHER; put it on its own line"),
]


def test_a_cap_without_effect_is_refused(env: Path, subtests: pytest.Subtests) -> None:
    for text, line in LOST:
        with subtests.test(text=text, line=line):
            assert refusal(env, text) == [line]


OTHER_PROGRAMS: list[str] = [
    "VITE_SALESFORCE_URL=x\n",
    "PATH_OF_CONNECTOR_=x\n",
    "POSTGRES_PASSWORD=x\n",
    "OTHER=a # CONNECTOR_X=1\n",
]


def test_foreign_settings_in_the_file_are_ignored(env: Path) -> None:
    wrong = [
        (text, got)
        for text in OTHER_PROGRAMS
        if (got := read(env, f"{text}LENSMOR_ACCOUNT=a\n").providers["lensmor"].account) != "a"
    ]
    assert wrong == []


DOCUMENTED = """
SALESFORCE_INSTANCE_URL SALESFORCE_CLIENT_ID SALESFORCE_CLIENT_SECRET SALESFORCE_USERNAME SALESFORCE_PRIVATE_KEY_FILE
SALESFORCE_JWT_AUDIENCE SALESFORCE_ACCESS_TOKEN SALESFORCE_API_VERSION SALESFORCE_API_RESERVE_PERCENT LENSMOR_API_KEY
LENSMOR_BASE_URL LENSMOR_ACCOUNT LENSMOR_EMAIL_CREDITS LENSMOR_PHONE_CREDITS LENSMOR_CREDIT_RESERVE
LENSMOR_REQUESTS_PER_MINUTE SALESFINITY_API_KEY SALESFINITY_BASE_URL SALESFINITY_ACCOUNT
SALESFINITY_REQUESTS_PER_MINUTE HUBSPOT_ACCESS_TOKEN HUBSPOT_BASE_URL HUBSPOT_API_RESERVE_PERCENT CONNECTOR_KEEP_DAYS
CONNECTOR_ALERT_WEBHOOK_URL CONNECTOR_ALERT_EMAIL CONNECTOR_SMTP_URL CONNECTOR_DATABASE_URL CONNECTOR_SECRET_KEY
CONNECTOR_POLL_SECONDS CONNECTOR_WAIT_SECONDS CONNECTOR_TIME_SCALE CONNECTOR_UNDO_DAYS CONNECTOR_PUBLIC_URL
CONNECTOR_TRIGGER_TOKEN CONNECTOR_OUTBOUND_MESSAGE_SECRET CONNECTOR_SALESFORCE_ORG_ID
CONNECTOR_MAX_CREDITS_PER_DAY_LENSMOR CONNECTOR_MAX_CREDITS_PER_MONTH_LENSMOR
CONNECTOR_MAX_CREDITS_PER_DAY_SALESFINITY CONNECTOR_MAX_CREDITS_PER_MONTH_SALESFINITY CONNECTOR_ALERT_BALANCE_LENSMOR
CONNECTOR_ALERT_BALANCE_SALESFINITY CONNECTOR_ALERT_CREDITS_PER_DAY_LENSMOR
CONNECTOR_ALERT_CREDITS_PER_DAY_SALESFINITY CONNECTOR_ALERT_SILENCE
"""


def test_every_documented_name_is_known() -> None:
    assert set(DOCUMENTED.split()) <= known_settings()


FORMS_OF_LATER: list[tuple[str, str]] = [
    ("CONNECTOR_ALERT_EMAIL=nobody", "must be one email address"),
    ("CONNECTOR_ALERT_SILENCE=soon", "write a whole number and m, h or d"),
    ("HUBSPOT_BASE_URL=api.hubapi.com", "must be a web address such as https://example.com"),
    ("SALESFORCE_JWT_AUDIENCE=login", "must be a web address that begins with https://"),
]


def test_reserved_settings_are_checked_for_their_form(env: Path, subtests: pytest.Subtests) -> None:
    for line, words in FORMS_OF_LATER:
        with subtests.test(line=line, words=words):
            (message,) = refusal(env, f"{line}\n")
            assert message.startswith(f"{line.partition('=')[0]}: ")
            assert words in message


def test_reserved_settings_are_reported_as_unused(env: Path) -> None:
    env.write_text("HUBSPOT_ACCESS_TOKEN=x\nHUBSPOT_API_RESERVE_PERCENT=5\nCONNECTOR_UNDO_DAYS=3\n")
    found = survey(env)
    assert found.unused == ("HUBSPOT_ACCESS_TOKEN", "HUBSPOT_API_RESERVE_PERCENT")
    assert found.problems == ()


# -- everything at once -----------------------------------------------------------------------------------------


def test_wrong_and_missing_settings_are_reported_in_one_error(env: Path) -> None:
    env.write_text(
        "LENSMOR_APIKEY=x\nCONNECTOR_WAIT_SECONDS=soon\nLENSMOR_EMAIL_CREDITS=15.0\nSALESFINITY_BASE_URL=nowhere\n"
        "CONNECTOR_DATABASE_URL=mysql://u:hunter2@h/d\nSALESFORCE_API_VERSION=v1\n"
    )
    messages = [str(one) for one in survey(env).needed({"lensmor", "salesfinity"})]
    assert [line.split(":")[0].split(" ")[0] for line in messages] == [
        "LENSMOR_APIKEY",
        "CONNECTOR_WAIT_SECONDS",
        "SALESFORCE_API_VERSION",
        "LENSMOR_EMAIL_CREDITS",
        "SALESFINITY_BASE_URL",
        "CONNECTOR_DATABASE_URL",
        "LENSMOR_API_KEY",
        "SALESFINITY_API_KEY",
    ]
    assert "hunter2" not in str(messages)


def test_all_missing_settings_are_reported_together(env: Path) -> None:
    env.write_text("CONNECTOR_DATABASE_URL=postgresql://u@h/d\n")
    messages = [str(one) for one in survey(env).needed({"lensmor", "salesfinity"})]
    assert messages == [
        "Salesforce's login is not set: SALESFORCE_INSTANCE_URL; SALESFORCE_CLIENT_ID and SALESFORCE_CLIENT_SECRET "
        "(or SALESFORCE_ACCESS_TOKEN); put it into the environment or .env",
        "LENSMOR_API_KEY is missing; put it into the environment or .env",
        "SALESFINITY_API_KEY is missing; put it into the environment or .env",
        "CONNECTOR_SECRET_KEY is missing; only a SQLite ledger generates its own key",
    ]


def test_only_the_mapped_providers_need_settings(env: Path) -> None:
    env.write_text("SALESFORCE_INSTANCE_URL=https://acme.my.salesforce.com\nSALESFORCE_ACCESS_TOKEN=t\n")
    assert [one.name for one in survey(env).needed({"salesfinity"})] == ["SALESFINITY_API_KEY"]


# -- file: references -------------------------------------------------------------------------------------------


CONTENTS: list[bytes] = [b"hunter2", b"hunter2\n", b"hunter2\r\n", b"\xef\xbb\xbfhunter2\n", b" hunter2 \n\n"]


def test_a_value_may_come_from_a_file(env: Path, subtests: pytest.Subtests) -> None:
    for form, content in product(("file:{path}", "file://{path}", "file:key", "file:./key", '"file:key"'), CONTENTS):
        with subtests.test(form=form, content=content):
            path = env.parent / "key"
            path.write_bytes(content)
            assert secret(env, f"LENSMOR_API_KEY={form.format(path=path)}\n") == "hunter2"


def test_any_setting_may_refer_to_a_file(env: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (env.parent / "cap").write_text("300\n")
    monkeypatch.setenv("CONNECTOR_MAX_CREDITS_PER_DAY_LENSMOR", "file:cap")
    assert read(env, "").limits()["lensmor"].day == 300


NO_VALUE: list[tuple[bytes | None, str]] = [
    (None, "cannot be read (FileNotFoundError)"),
    (b"", "is empty"),
    (b"\n \n", "is empty"),
    (b"hunter2\nhunter3\n", "has more than one line"),
    (b"\xff\xfe\x00", "is not UTF-8 text"),
    (b"x" * 70_000, "is too large"),
]


def test_an_unusable_value_file_is_named_with_its_setting(env: Path, subtests: pytest.Subtests) -> None:
    for content, words in NO_VALUE:
        with subtests.test(content=content, words=words):
            (env.parent / "key").unlink(missing_ok=True)
            if content is not None:
                (env.parent / "key").write_bytes(content)
            (message,) = refusal(env, "LENSMOR_API_KEY=file:key\n")
            assert message.startswith("LENSMOR_API_KEY: the file that it refers to ")
            assert words in message
            assert "hunter" not in message


def test_a_folder_is_not_a_value_file(env: Path) -> None:
    (env.parent / "key").mkdir()
    (message,) = refusal(env, "LENSMOR_API_KEY=file:key\n")
    assert "cannot be read (IsADirectoryError)" in message


def test_a_wrong_reference_is_not_also_missing(env: Path) -> None:
    env.write_text("LENSMOR_API_KEY=file:nowhere\nSALESFORCE_INSTANCE_URL=file:nowhere\n")
    assert [one.name for one in survey(env).needed({"lensmor"})] == ["SALESFORCE_INSTANCE_URL", "LENSMOR_API_KEY"][::-1]


# -- the settings file ------------------------------------------------------------------------------------------


AS_THEY_STAND: list[tuple[str, str]] = [
    ("${NOPE}", "${NOPE}"),
    ("a${HOME}b", "a${HOME}b"),
    ("pa$$word$1", "pa$$word$1"),
    ("$HOME", "$HOME"),
    ('"a ${NOPE} b"', "a ${NOPE} b"),
    ("'a \"b\" c'", 'a "b" c'),
    ('"a#b"', "a#b"),
    ("a#b", "a#b"),
    ("a   # a remark", "a"),
    ("a=b==", "a=b=="),
    ("  a  ", "a"),
    ("'a'", "a"),
    ("a b", "a b"),
]


def test_values_are_literal(env: Path, subtests: pytest.Subtests) -> None:
    for written, value in AS_THEY_STAND:
        with subtests.test(written=written, value=value), pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.delenv("NOPE", raising=False)
            assert secret(env, f"LENSMOR_API_KEY={written}\n") == value


EDITORS: list[bytes] = [
    b"\xef\xbb\xbfLENSMOR_API_KEY=k\n",
    b"LENSMOR_API_KEY=k\r\nLENSMOR_ACCOUNT=a\r\n",
    b"export LENSMOR_API_KEY=k",
    b"  LENSMOR_API_KEY = k\n",
    b"# a remark\n\n\nLENSMOR_API_KEY=k\n",
    b"lensmor_api_key=k\n",
    b"OTHER=1\nOTHER=2\nANY THING: at all\n"[:16] + b"LENSMOR_API_KEY=k\n",
]


def test_files_of_other_editors_and_shells_are_read(env: Path) -> None:
    wrong = [(text, got) for text in EDITORS if (got := secret(env, text)) != "k"]
    assert wrong == []


UNREADABLE: list[tuple[str, str]] = [
    ("LENSMOR_API_KEY\n", ".env:1: LENSMOR_API_KEY has no '='; write LENSMOR_API_KEY=value"),
    ("# x\n\nLENSMOR_API_KEY\n", ".env:3: LENSMOR_API_KEY has no '='; write LENSMOR_API_KEY=value"),
    ("LENSMOR_API_KEY=a\nx=1\nLENSMOR_API_KEY=b\n", ".env:3: LENSMOR_API_KEY is already set in line 1; keep one"),
    ("LENSMOR_API_KEY=a\nlensmor_api_key=b\n", ".env:2: lensmor_api_key is already set in line 1; keep one"),
    ("LENSMOR_API_KEY: a\n", ".env:1: this line cannot be read; write NAME=value, with matching quotes"),
    ('\nLENSMOR_API_KEY="a\n', ".env:2: this line cannot be read; write NAME=value, with matching quotes"),
]


def test_unreadable_lines_are_named(env: Path, subtests: pytest.Subtests) -> None:
    for text, line in UNREADABLE:
        with subtests.test(text=text, line=line):
            messages = refusal(env, text)
            assert messages[0].startswith(line)


NO_SETTINGS: list[tuple[str, str]] = [
    ("# x\n" * 20_000, ".env: is too large for a settings file; the limit is 64,000 bytes"),
    (f"A=1\nB=x{' ' * 40_000}y\n", ".env: line 2 has more than 4,000 characters; no setting needs that many"),
]


def test_an_absurd_settings_file_is_refused_quickly(env: Path, subtests: pytest.Subtests) -> None:
    for text, words in NO_SETTINGS:
        with subtests.test(text=text, words=words):
            begun = time.process_time()
            assert refusal(env, text) == [words]
            assert time.process_time() - begun < 1


def test_an_unreadable_line_is_reported_once(env: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert len(refusal(env, "LENSMOR_ACCOUNT: a\n")) == 1
    assert caplog.records == []


def test_an_empty_variable_does_not_hide_the_value_of_the_file(env: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LENSMOR_API_KEY", "")
    assert secret(env, "LENSMOR_API_KEY=k\n") == "k"


def test_the_file_is_only_read(env: Path) -> None:
    env.write_text("LENSMOR_API_KEY=k\n")
    env.chmod(0o400)
    before = env.stat()
    configure(env)
    after = env.stat()
    assert (after.st_mode, after.st_mtime_ns, env.read_text()) == (
        before.st_mode,
        before.st_mtime_ns,
        "LENSMOR_API_KEY=k\n",
    )


def test_values_are_hidden_in_repr(env: Path) -> None:
    env.write_text("LENSMOR_API_KEY=hunter2\n")
    assert "hunter2" not in repr(read_values(env)) + repr(configure(env))
    assert configure(env).providers["lensmor"].api_key == SecretStr("hunter2")


# -- the ledger's address ---------------------------------------------------------------------------------------

FORMS = "CONNECTOR_DATABASE_URL must be sqlite:///path or postgresql://user@host/database"


OTHER_LEDGERS: list[tuple[str, str]] = [
    ("mysql://x", ""),
    ("mssql+pyodbc://sa:hunter2@host/db", ""),
    ("oracle://hunter2@host", ""),
    ("/var/lib/connector.db", ""),
    ("connector.db", ""),
    ("file.db?x=1", ""),
    ("postgresql://", ""),
    ("postgresql://user:hunter2@host", ""),
    ("postgresql://user:hunter2@host:port/db", ""),
    ("postgresql+asyncpg://user:hunter2@host/db", ""),
    ("postgres://user:hunter2@host/db", "; write postgresql:// instead of postgres://"),
    ("sqlite://connector.db", ": three slashes, then the path"),
    ("sqlite:connector.db", ": three slashes, then the path"),
    ("sqlite://", ": three slashes, then the path"),
    ("sqlite:///", "; name a file, because the ledger must last"),
    ("sqlite:///:memory:", "; name a file, because the ledger must last"),
]


def test_other_database_addresses_are_refused_without_showing_them(env: Path, subtests: pytest.Subtests) -> None:
    for url, more in OTHER_LEDGERS:
        with subtests.test(url=url, more=more):
            (message,) = refusal(env, f"CONNECTOR_DATABASE_URL={url}\n")
            assert message.startswith(FORMS + more)
            assert "hunter2" not in message


POSTGRESQL: list[str] = [
    "postgresql://user@host/db",
    "postgresql://user:p%40ss@host:5432/db",
    "postgresql+psycopg://user@host/db",
    "postgresql:///db?host=/var/run/postgresql",
]


def test_postgresql_addresses_are_unchanged(env: Path) -> None:
    wrong = [
        (url, got)
        for url in POSTGRESQL
        if (got := read(env, f"CONNECTOR_DATABASE_URL={url}\nCONNECTOR_SECRET_KEY=k\n").ledger_url()) != url
    ]
    assert wrong == []


def test_a_relative_path_starts_at_the_settings_file(env: Path) -> None:
    """Otherwise a run from another folder would create a new ledger and buy everything again."""
    assert read(env, "CONNECTOR_DATABASE_URL=sqlite:///data/c.db\n").ledger_url() == f"sqlite:///{env.parent}/data/c.db"
    assert read(env, "CONNECTOR_DATABASE_URL=sqlite:////data/c.db\n").ledger_url() == "sqlite:////data/c.db"


# -- numbers ----------------------------------------------------------------------------------------------------


WHOLE: list[tuple[str, int]] = [("0", 0), (" 15 ", 15), ("007", 7), ("+3", 3), ("-3", -3), ("50000", 50_000)]


def test_whole_numbers() -> None:
    wrong = [(text, number, got) for text, number in WHOLE if (got := whole_number(text)) != number]
    assert wrong == []


NOT_WHOLE: list[tuple[str, str]] = [
    ("50,000", "write 50000, without separators"),
    ("1_000", "write 1000, without separators"),
    ("1'000'000", "write 1000000, without separators"),
    ("1 000", "write 1000, without separators"),
    ("1\u202f000", "write 1000, without separators"),
    ("50.000", "write 50000, without separators (or without decimals, if the point begins them)"),
    ("50k", "write the whole number out, such as 50000"),
    ("1.5M", "write the whole number out, such as 50000"),
    ("15.0", "must be a whole number, without decimals"),
    ("1e3", "must be a whole number, such as 3000"),
    ("0x10", "must be a whole number, such as 3000"),
    ("٣", "must be a whole number, such as 3000"),
    ("50,00", "must be a whole number, such as 3000"),
    ("9" * 16, "must be a whole number, such as 3000"),
    ("nan", "must be a whole number, such as 3000"),
    ("", "must be a whole number, such as 3000"),
]


def test_other_spellings_of_whole_numbers(subtests: pytest.Subtests) -> None:
    for text, words in NOT_WHOLE:
        with subtests.test(text=text, words=words):
            with pytest.raises(ValueError, match=r"must|write") as raised:
                whole_number(text)
            assert str(raised.value) == words


def test_decimal_numbers() -> None:
    wrong = [
        (text, number, got)
        for text, number in (("900", 900.0), ("0.5", 0.5), (" 1 ", 1.0), ("0.001", 0.001))
        if (got := decimal_number(text)) != number
    ]
    assert wrong == []


NOT_DECIMAL: list[tuple[str, str]] = [
    ("1,000", "write 1000, without separators"),
    ("1k", "write the whole number out"),
    ("0,5", "must be a number, such as 900 or 0.5"),
    ("inf", "must be a number"),
    ("nan", "must be a number"),
    ("1e3", "must be a number"),
    ("15m", "write the whole number out"),
]


def test_other_spellings_of_decimal_numbers(subtests: pytest.Subtests) -> None:
    for text, words in NOT_DECIMAL:
        with subtests.test(text=text, words=words):
            with pytest.raises(ValueError, match=r"must|write") as raised:
                decimal_number(text)
            assert str(raised.value).startswith(words)


WRONG_NUMBERS: list[tuple[str, str]] = [
    ("CONNECTOR_MAX_CREDITS_PER_DAY_LENSMOR=50,000", "write 50000, without separators"),
    ("CONNECTOR_MAX_CREDITS_PER_DAY_LENSMOR=50k", "write the whole number out, such as 50000"),
    ("LENSMOR_EMAIL_CREDITS=15.0", "must be a whole number, without decimals"),
    ("LENSMOR_EMAIL_CREDITS=1_000", "write 1000, without separators"),
    ("LENSMOR_CREDIT_RESERVE=-1", "must be from 0 to 1,000,000,000,000,000"),
    ("SALESFORCE_API_RESERVE_PERCENT=20%", "must be a whole number, such as 20"),
    ("CONNECTOR_WAIT_SECONDS=90000", "must be from 0 to 86,400"),
]


def test_numbers_in_settings(env: Path, subtests: pytest.Subtests) -> None:
    for line, words in WRONG_NUMBERS:
        with subtests.test(line=line, words=words):
            assert refusal(env, f"{line}\n") == [f"{line.partition('=')[0]}: {words}"]


def test_an_empty_number_counts_as_absent(env: Path) -> None:
    assert read(env, "CONNECTOR_MAX_CREDITS_PER_DAY_LENSMOR=\n").limits()["lensmor"].day is None
