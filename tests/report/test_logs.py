"""The two forms of log lines, and what none of them shows."""

import json
import logging
import sys

import pytest

from connector.report.logs import JsonLines, TextLines, fields_of

FORMS = (JsonLines(), TextLines())
# Each text, and the part of it that stays out of the log.
PRIVATE = {
    "GET https://platform.lensmor.com/external/personnel/profile?personnel_id=70001": "70001",
    "Retrying http://127.0.0.1:4318/v1/traces after a pause": "v1/traces",
    "see linkedin.com/in/grace-hopper for it": "grace-hopper",
    "https://de.linkedin.com/in/grace-hopper/en": "grace-hopper",
    "wrote grace.hopper+x@mail.example.com to the record": "grace.hopper",
    "called +1 (212) 555-0100 twice": "555-0100",
    "postgresql://connector:Zebra7Quagga@db.example.com/connector": "Zebra7Quagga",
    "password=Zebra7Quagga": "Zebra7Quagga",
}
SHOWN = (
    "run 20261120T100000-a1b2c3 of lead",
    "record 00Q000000000001EAA, purchase 70001",
    "Listening on http://127.0.0.1:8080 for mappings lead",
    "https://example.com cannot be reached (ConnectError)",
    "0 6 * * * at 2026-11-20 06:00 UTC; waiting 20 s",
)


def record(text: str, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("connector.test", logging.WARNING, "", 0, "%s", (text,), None)
    vars(made).update(extra)
    return made


@pytest.mark.parametrize("text", PRIVATE)
def test_private_texts_are_redacted_in_messages_and_fields(text: str) -> None:
    for made in (record(text), record("x", why=text), record("x", all=[{"one": (text,)}]), record("x", **{"k": text})):
        for form in FORMS:
            assert PRIVATE[text] not in form.format(made), form


@pytest.mark.parametrize("text", SHOWN)
def test_ids_hosts_and_times_stay(text: str) -> None:
    assert json.loads(JsonLines().format(record(text, why=text))) | {"time": ""} == {
        "time": "",
        "level": "warning",
        "logger": "connector.test",
        "message": text,
        "why": text,
    }
    assert text in TextLines().format(record(text))


def test_a_field_never_replaces_the_head() -> None:
    line = json.loads(JsonLines().format(record("x", level="mine", logger="mine", time="mine")))
    assert (line["level"], line["logger"], line["message"]) == ("warning", "connector.test", "x")
    assert line["time"] != "mine"


def test_an_error_is_shown_by_its_type_and_place() -> None:
    made = record("x")
    try:
        int("grace@example.com")
    except ValueError:
        made.exc_info = sys.exc_info()
    assert str(fields_of(made)["fault"]).startswith("ValueError at test_logs.py:")
    for form in FORMS:
        assert "grace" not in form.format(made)


def test_text_is_one_line_without_control_characters() -> None:
    line = TextLines().format(record("a\nb\x1b[31m", counts={"delivered": 2}, name_of="lead"))
    assert line.isprintable()
    assert line.endswith('logger=connector.test counts={"delivered": 2} name_of=lead')
