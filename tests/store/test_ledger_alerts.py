"""Alerts in the ledger: one message per cause and day, however many processes notice it, and one when it is over."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connector.core.alerts import Cause
from connector.store.alerts import CLAIMED_FOR, Alerts
from connector.store.database import Database

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
NEXT_DAY = NOW + timedelta(days=1)
CAUSE = Cause("run sync lead 3", "records need attention")
PATIENT = Cause("run sync lead 4", "stopped again", patience=True)


@pytest.fixture
def alerts(database: Database) -> Alerts:
    return Alerts(database)


@pytest.fixture(params=["sqlite", "postgres"])
def database(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Database]:
    is_postgres = request.param == "postgres"
    made = Database(request.getfixturevalue("postgres_url") if is_postgres else f"sqlite:///{tmp_path / 'alerts.db'}")
    made.migrate()
    yield made
    made.close()


def test_a_cause_is_sent_once_a_day(alerts: Alerts) -> None:
    assert alerts.claim(CAUSE, NOW)
    alerts.sent(CAUSE.key, NOW)
    assert not alerts.claim(CAUSE, NOW + timedelta(hours=13))
    assert alerts.claim(CAUSE, NEXT_DAY)


def test_only_one_process_sends(alerts: Alerts, database: Database) -> None:
    assert [alerts.claim(CAUSE, NOW), Alerts(database).claim(CAUSE, NOW)] == [True, False]


def test_a_message_that_was_not_sent_is_claimed_again_a_little_later(alerts: Alerts) -> None:
    assert alerts.claim(CAUSE, NOW)
    assert not alerts.claim(CAUSE, NOW + CLAIMED_FOR)
    assert alerts.claim(CAUSE, NOW + CLAIMED_FOR + timedelta(seconds=1))


def test_the_end_is_sent_once_and_only_after_a_message(alerts: Alerts) -> None:
    assert alerts.claim_end(CAUSE.key, NOW) is None
    alerts.claim(CAUSE, NOW)
    alerts.sent(CAUSE.key, NOW)
    assert alerts.claim_end(CAUSE.key, NEXT_DAY) == CAUSE.title
    assert alerts.claim_end(CAUSE.key, NEXT_DAY) is None, "another process sends it"
    alerts.sent_end(CAUSE.key, NEXT_DAY)
    assert alerts.claim_end(CAUSE.key, NEXT_DAY + CLAIMED_FOR * 2) is None
    assert alerts.open_causes() == []


def test_a_cause_that_ends_before_its_message_is_forgotten(alerts: Alerts) -> None:
    assert not alerts.claim(PATIENT, NOW)
    assert alerts.claim_end(PATIENT.key, NOW) is None
    assert not alerts.claim(PATIENT, NEXT_DAY), "it began again only now"
    assert alerts.claim(PATIENT, NEXT_DAY + timedelta(days=1))


def test_a_patient_cause_is_sent_on_its_second_day(alerts: Alerts) -> None:
    late = NOW.replace(hour=23, minute=59)
    assert not alerts.claim(PATIENT, late)
    assert alerts.claim(PATIENT, late + timedelta(minutes=2))


def test_a_cause_that_comes_and_goes_sends_two_messages_a_day_at_most(alerts: Alerts) -> None:
    sent = []
    for minute in range(20):
        now = NOW + timedelta(minutes=30 * minute)
        if minute % 2:
            if alerts.claim_end(CAUSE.key, now):
                alerts.sent_end(CAUSE.key, now)
                sent.append("over")
        elif alerts.claim(CAUSE, now):
            alerts.sent(CAUSE.key, now)
            sent.append("begun")
    assert sent == ["begun", "over"]
    assert alerts.claim(CAUSE, NEXT_DAY)


def test_a_clock_that_was_wrong_does_not_silence_a_cause(alerts: Alerts) -> None:
    later = NOW + timedelta(days=400)
    alerts.claim(CAUSE, later)
    assert alerts.claim(CAUSE, NOW), "the claim of the wrong clock does not count"
    alerts.sent(CAUSE.key, later)
    assert alerts.claim(CAUSE, NOW + timedelta(hours=1))
    alerts.note_success(later)
    assert alerts.last_success(NOW) == NOW


def test_silence_counts_from_the_first_question(alerts: Alerts) -> None:
    assert alerts.last_success(NOW) == NOW
    assert alerts.last_success(NEXT_DAY) == NOW
    alerts.note_success(NEXT_DAY)
    assert alerts.last_success(NEXT_DAY + timedelta(days=1)) == NEXT_DAY
