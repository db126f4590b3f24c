"""Values in vendor and CRM answers that no ledger can store: they cost no credits and end no run."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import sqlalchemy as sa
from harness import Harness, World, email_only, personal_only, reasons_of
from ledgers import journal_of

from connector.core.errors import ConnectorError
from connector.core.model import Outcome
from connector.crm.salesforce.client import Client
from connector.engine import recovery
from connector.simulator.faults import FOREVER, Fault
from connector.simulator.people import SimEvent
from connector.store.answers import Answers

HOSTILE_IDS: Mapping[str, object] = {
    "a NUL": "task\x00-1",
    "an escape sequence": "task\x1b[2J",
    "a lost character": "task-\ufffd",
    "300 characters": "t" * 300,
    "a number beyond 64 bits": 10**19,
    "an endless number": 10**400,
    "a fraction": 1.5,
    "a list": ["t-1"],
    "an object": {"id": "t-1"},
    "no text": "",
}
LARGE_BALANCES = (3_000_000_000, 10**15)
UNREADABLE_BALANCES: Mapping[str, object] = {
    "beyond 64 bits": 10**19,
    "endless": 10**400,
    "below zero, beyond 64 bits": -(10**19),
    "infinite": 1e308,
    "a text with NUL": "9\x00",
}
VERSION = "2026-11-20T10:00:00.000+0000"


def test_an_unstorable_task_id_is_a_lost_answer(world: World, harness: Harness) -> None:
    people, leads = [], []
    for number, task_id in enumerate(HOSTILE_IDS.values()):
        event = SimEvent(f"96{number:02}", f"596{number:02}", "Fair", "2027-03-02", "2027-03-04", "Utrecht", "Spain")
        world.lensmor.add_event(event)  # one event each, so that each person has a request of its own
        people.append(world.person(event_ids=(event.event_id,)))
        leads.append(world.lead(people[-1], Lensmor_Event_Id__c=event.event_id))
        fields = {"task_id": task_id, "job_id": task_id}
        world.arm("lensmor", "submitEmailUnlock", "add_fields", subject=people[-1].personnel_id, fields=fields)
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.DELIVERED: len(leads)}  # the profile shows the purchase
    assert [world.get(lead)["Email"] for lead in leads] == [person.email for person in people]
    assert world.paid_posts() == len(leads)
    assert world.faults.armed() == []


def test_an_unstorable_lookup_id_is_unknown_and_never_repeated(world: World, harness: Harness) -> None:
    for lookup_id in HOSTILE_IDS.values():
        world.contact(world.person())
        world.arm("salesfinity", "requestEmailEnrichment", "add_fields", fields={"_id": lookup_id})
    harness = harness.other(personal_only())
    for _ in range(3):
        report = harness.other().sync()
        assert report.outcomes == {Outcome.UNKNOWN: len(HOSTILE_IDS)}
        world.clock.advance(hours=30)
    assert world.paid_posts() == len(HOSTILE_IDS)


@pytest.mark.parametrize("balance", LARGE_BALANCES)
def test_a_balance_of_more_than_32_bits_is_stored(world: World, harness: Harness, balance: int) -> None:
    lead = world.lead(world.person())
    world.arm("lensmor", "getCreditsBalance", "add_fields", times=2, fields={"totalBalance": balance})
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] is not None
    assert report.credits["lensmor"].balance_before == balance


@pytest.mark.parametrize("balance", UNREADABLE_BALANCES.values(), ids=UNREADABLE_BALANCES)
def test_a_balance_beyond_the_limits_is_refused_and_nothing_is_bought(
    world: World, harness: Harness, balance: object
) -> None:
    world.lead(world.person())
    world.arm("lensmor", "getCreditsBalance", "add_fields", times=10, fields={"totalBalance": balance})
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.DEFERRED: 1}
    assert report.exit_code == 4
    assert "balance" in " ".join(reasons_of(report, "deferred"))
    assert world.paid_posts() == 0


def test_an_unstorable_event_is_ignored(world: World, harness: Harness) -> None:
    people, leads = [], []
    for event_id in ("9" * 150, "e" * 150, "52\x00", 10**30, {"id": 1}):
        people.append(world.person())
        leads.append(world.lead(people[-1], Lensmor_Personnel_Id__c=None, Lensmor_Event_Id__c=None))
        fields = {"events": {"items": [{"eventId": event_id}]}}
        subject = people[-1].personnel_id
        world.arm("lensmor", "findPersonByLinkedin", "add_fields", subject=subject, fields=fields)
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.DELIVERED: len(leads)}
    assert [world.get(lead)["Email"] for lead in leads] == [person.email for person in people]
    assert world.faults.armed() == []


def test_a_personnel_id_beyond_the_limits_is_a_refused_answer(world: World, harness: Harness) -> None:
    leads = []
    for found in ("7" * 30, 10**30, "7\x001", "\ufffd", -1, 1e300):
        person = world.person()
        leads.append(world.lead(person, Lensmor_Personnel_Id__c=None))
        fields = {"personnel": {"id": found}}
        world.arm("lensmor", "findPersonByLinkedin", "add_fields", subject=person.personnel_id, fields=fields)
    reports = harness.other(email_only()).syncs(most=4)
    assert {outcome for report in reports for outcome in report.outcomes} <= {Outcome.FAILED, Outcome.DEFERRED}
    assert all("personnel id" in str(world.get(lead)["Enrichment_Error__c"]) for lead in leads)
    assert world.paid_posts() == 0


SKIPPED_FIELDS: tuple[tuple[str, object], ...] = (
    ("Lensmor_Personnel_Id__c", "7" * 30),
    ("Lensmor_Personnel_Id__c", 10**30),
    ("Lensmor_Personnel_Id__c", "7\x001"),
    ("Lensmor_Personnel_Id__c", ["70001"]),
    ("Lensmor_Personnel_Id__c", {"value": "70001"}),
    ("Lensmor_Personnel_Id__c", 1e308),
    ("Email", ["someone@example.com"]),
    ("HasOptedOutOfEmail", {"value": True}),
)
HARMLESS_FIELDS: tuple[tuple[str, object], ...] = (
    ("Lensmor_Event_Id__c", "9" * 150),
    ("Lensmor_Event_Id__c", "9\x001"),
    ("Lensmor_Event_Id__c", {"value": "52001"}),
    ("SystemModstamp", VERSION * 20),
    ("SystemModstamp", "now\x00"),
    ("SystemModstamp", 10**30),
)


@pytest.mark.parametrize("fields", [SKIPPED_FIELDS, HARMLESS_FIELDS], ids=["skipped", "harmless"])
def test_a_field_of_a_record_cannot_end_a_run(
    world: World, harness: Harness, monkeypatch: pytest.MonkeyPatch, fields: tuple[tuple[str, object], ...]
) -> None:
    outcome = Outcome.SKIPPED if fields is SKIPPED_FIELDS else Outcome.DELIVERED
    for field, value in fields:
        lead = world.lead(world.person(), LinkedIn_URL__c=None)
        _answer_with(monkeypatch, field, value, lead)
    report = harness.other(email_only()).sync()
    assert report.outcomes == {outcome: len(fields)}
    assert world.ours("lensmor") == (0 if outcome is Outcome.SKIPPED else 15 * len(fields))
    text = str(report.to_json())
    assert "70001" not in text
    assert "someone" not in text


@pytest.mark.parametrize("text", ["no\x00body", "\x1b[2Jnobody", "\u202enobody", "n" * 5000], ids=ascii)
def test_a_reason_of_the_crm_can_be_stored_and_shown(
    world: World, harness: Harness, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    lead = world.lead(world.person())
    error = {"code": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "message": f"rule {text}", "fields": ["Email", text]}
    _answer_with(monkeypatch, "SystemModstamp", text, lead)  # the version of the parked record
    params = {"when_fields": ["Email"], "errors": [error]}
    world.simulator.arm(Fault("salesforce", "update_many", "row_rule", times=FOREVER, subject=lead, params=params))
    harness = harness.other(email_only())
    for _ in range(2):
        report = harness.other().sync()
        assert report.outcomes == {Outcome.PARKED: 1}
        (entry,) = report.attention
        assert "rule" in entry.reason
        assert entry.reason.isprintable()
        assert entry.field.isprintable()
    assert world.paid_posts() == 1


def test_an_unstorable_id_of_a_converted_lead_is_ignored(
    world: World, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead = world.lead(world.person())
    world.arm("lensmor", "submitEmailUnlock", "delay", seconds=0)
    for field, value in (("IsConverted", True), ("ConvertedContactId", "003\x00" * 20)):
        _answer_with(monkeypatch, field, value, lead)
    report = harness.other(email_only()).sync()
    assert sum(report.outcomes.values()) == 1


# -- answers that were stored while the database was gone ---------------------------------------------------------

Spoil = Callable[[dict[str, object]], object]
UNUSABLE: Mapping[str, Spoil] = {
    "NUL in the task id": lambda answer: {**answer, "task_id": "task\x00"},
    "endless task id": lambda answer: {**answer, "task_id": "t" * 10_000},
    "task id of another type": lambda answer: {**answer, "task_id": {"id": 1}},
    "a row that is no number": lambda answer: {**answer, "check": {"seven": True}},
    "a row beyond 64 bits": lambda answer: {**answer, "gone": {str(10**30): "no match"}},
    "rows of another type": lambda answer: {**answer, "back": {"7": 1}},
}
STRANGE: Mapping[str, Spoil] = {
    "no request": lambda answer: {**answer, "attempt_id": None},
    "another ledger's request": lambda answer: {**answer, "attempt_id": "f" * 32},
    "NUL in the request": lambda answer: {**answer, "attempt_id": "\x00"},
    "no object": lambda answer: [answer],
    "a number": lambda _answer: 5,
    "a text": lambda _answer: "text",
}


def test_bad_stored_answers_are_set_aside_and_reported(
    world: World, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [world.person(), world.person()]
    leads = [world.lead(person) for person in people]
    harness = harness.other(email_only("salesfinity"))  # no other read could replace the answer

    def gone(*_args: object) -> None:
        raise sa.exc.OperationalError("", {}, Exception("disk I/O error"))

    for _ in leads:  # each of two runs ends with an answer that the database did not store
        with monkeypatch.context() as patch:
            patch.setattr(Answers, "accept", gone)
            patch.setattr(recovery, "adopt_stored", lambda _run: None)
            with pytest.raises((sa.exc.OperationalError, ConnectorError)):
                harness.other().sync()
        world.clock.advance(minutes=1)
    spoilt, whole = journal_of(harness.folder)
    answer = json.loads(spoilt.read_bytes().rstrip(b"\0"))
    spoilt.unlink()
    texts = [json.dumps(spoil(answer)) for spoil in [*UNUSABLE.values(), *STRANGE.values()]]
    for number, text in enumerate([*texts, '{"attempt_id": "cut o']):
        whole.with_name(f"{whole.name.partition('.')[0]}.{number:012x}.journal").write_text(text)
    report = harness.other().sync()
    assert report.outcomes == {Outcome.DELIVERED: 1, Outcome.UNKNOWN: 1}
    assert report.exit_code == 3
    found = [entry.reason for entry in report.attention if "stored answer" in entry.reason]
    assert found == [
        f"{len(UNUSABLE)} stored answer(s) to paid requests cannot be used; they are kept in files that end in .refused"
    ]
    assert len([entry for entry in report.attention if "matches no paid request" in entry.reason]) == len(STRANGE) + 1
    aside = sorted(harness.folder.glob("*.refused"))
    assert [file.read_text() for file in aside] == texts[: len(UNUSABLE)]
    assert len(journal_of(harness.folder)) == len(STRANGE) + 1, "they may be another copy's"
    again = harness.other().sync()
    assert again.outcomes == {Outcome.UNKNOWN: 1}
    assert not any("stored answer" in entry.reason for entry in again.attention)
    assert world.paid_posts() == 2


def _answer_with(monkeypatch: pytest.MonkeyPatch, field: str, value: object, record_id: str) -> None:
    """Change the value of a field in every read of a record."""
    usual = Client.call

    def call(self: Client, kind: str, what: str, path: str, **request: Any) -> Any:  # noqa: ANN401 as the client's
        answer = usual(self, kind, what, path, **request)
        rows = answer.get("records") if isinstance(answer, dict) else answer
        for row in rows if isinstance(rows, list) else []:
            if isinstance(row, dict) and field in row and row["Id"] == record_id:
                row[field] = value
        return answer

    monkeypatch.setattr(Client, "call", call)
