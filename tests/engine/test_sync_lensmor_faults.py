"""Any answer of Lensmor: refusals are sorted by the next step, reads are repeated, nothing is paid twice."""

from collections.abc import Mapping

import pytest
from harness import EVENT, FaultRow, Harness, World, email_only, mapping

from connector.core.errors import ConfigurationError, UnreachableError
from connector.core.model import Outcome
from connector.providers.lensmor.provider import Lensmor
from connector.simulator.people import SimEvent, SimPerson

READ_FAULTS: tuple[FaultRow, ...] = (
    ("drop_before", {}),
    ("drop_after", {}),
    ("error_before", {"status": 500}),
    ("error_after", {"status": 502}),
    ("html", {}),
    ("truncated", {}),
    ("wrong_types", {}),
    ("error_in_2xx", {}),
    ("unknown_word", {}),
    ("delay", {"seconds": 0.01}),
    ("status", {"status": 429}),
    ("status", {"status": 429, "retry_after": 7}),
    ("status", {"status": 503}),
    ("status", {"status": 409}),
    ("status", {"status": 400}),
    ("status", {"status": 401}),
    ("status", {"status": 402}),
)
BALANCE_FAULTS: tuple[FaultRow, ...] = (
    ("drop_before", {}),
    ("truncated", {}),
    ("wrong_types", {}),
    ("status", {"status": 400}),
    ("status", {"status": 429, "retry_after": 7}),
)
REFUSED_FOR_GOOD = (400, 404, 422)


def _event(number: int) -> SimEvent:
    return SimEvent(f"95{number:02}", f"595{number:02}", "Fair", EVENT.date_start, EVENT.date_end, "Utrecht", "Spain")


def _one_each(world: World, **values: object) -> list[tuple[SimPerson, str]]:
    """Add a person and a Lead for each fault, each with an event and so a request of its own."""
    found: list[tuple[SimPerson, str]] = []
    for number in range(len(READ_FAULTS)):
        event = _event(number)
        world.lensmor.add_event(event)
        person = world.person(event_ids=(event.event_id,))
        found.append((person, world.lead(person, **{"Lensmor_Event_Id__c": event.event_id, **values})))
    return found


def test_every_fault_of_a_poll_costs_only_time(world: World, harness: Harness) -> None:
    pairs = _one_each(world)
    for (person, _), (action, params) in zip(pairs, READ_FAULTS, strict=True):
        world.arm("lensmor", "getEmailUnlockTask", action, subject=person.personnel_id, **params)
    harness = harness.other(email_only())
    harness.syncs(most=8, minutes=5)
    assert [world.get(lead)["Email"] for _, lead in pairs] == [person.email for person, _ in pairs]
    assert world.paid_posts() == len(pairs)
    assert world.faults.armed() == []


def test_every_fault_of_a_read_of_a_person_costs_only_time(world: World, harness: Harness) -> None:
    pairs = _one_each(world)
    for person, _ in pairs:
        world.lensmor.script(person.personnel_id, "email", "missing")  # so that the profile is read
    for (person, _), (action, params) in zip(pairs, READ_FAULTS, strict=True):
        world.arm("lensmor", "getPersonnelProfile", action, subject=person.personnel_id, **params)
    harness = harness.other(email_only())
    harness.syncs(most=8, minutes=5)
    assert [world.get(lead)["Email"] for _, lead in pairs] == [person.email for person, _ in pairs]
    assert world.paid_posts() == len(pairs)
    assert world.faults.armed() == []


def test_every_fault_of_a_lookup_costs_time_or_is_reported(world: World, harness: Harness) -> None:
    pairs = _one_each(world, Lensmor_Personnel_Id__c=None)
    for (person, _), (action, params) in zip(pairs, READ_FAULTS, strict=True):
        world.arm("lensmor", "findPersonByLinkedin", action, subject=person.personnel_id, **params)
    harness = harness.other(email_only())
    harness.syncs(most=8, minutes=5)
    reasons: list[str] = []
    for person, lead in pairs:
        record = world.get(lead)
        assert record["Enrichment_Requested__c"] is False
        if record["Email"] is None:
            reasons.append(str(record["Enrichment_Error__c"]))
        else:
            assert record["Email"] == person.email
    assert len(reasons) == 3, reasons  # a refusal or an unreadable answer is final; all others were requested again
    assert all("lensmor" in reason for reason in reasons)
    assert world.paid_posts() == len(pairs) - 3


@pytest.mark.parametrize(("action", "params"), BALANCE_FAULTS, ids=str)
def test_every_fault_of_the_balance_costs_time_or_defers(
    world: World, harness: Harness, action: str, params: Mapping[str, object]
) -> None:
    lead = world.lead(world.person())
    world.arm("lensmor", "getCreditsBalance", action, **params)
    harness = harness.other(email_only())
    first = harness.sync()
    assert first.exit_code in {0, 4}
    assert (first.exit_code == 4) is (first.outcomes == {Outcome.DEFERRED: 1})
    harness.other().sync()
    assert world.get(lead)["Email"] is not None
    assert world.paid_posts() == 1


@pytest.mark.parametrize("operation", ["getCreditsBalance", "getEmailUnlockTask", "findPersonByLinkedin"])
def test_a_vendor_outage_defers_and_the_next_run_continues(world: World, harness: Harness, operation: str) -> None:
    lead = world.lead(world.person(), Lensmor_Personnel_Id__c=None)
    contact = world.contact(world.person())
    world.arm("lensmor", operation, "error_before", times=100)
    harness = harness.other(email_only(), mapping("contact"))
    report = harness.sync()
    assert report.exit_code == 4
    assert any("lensmor answered HTTP 500; run again later" in text for text in report.stopped)
    assert world.get(contact)["Personal_Email__c"] is not None  # the other vendor's work continued
    assert world.get(lead)["Enrichment_Requested__c"] is True
    world.faults.clear()
    world.clock.advance(minutes=15)
    assert set(harness.other().sync().outcomes) == {Outcome.DELIVERED}
    assert world.get(lead)["Email"] is not None
    assert world.get(contact)["Email"] is not None


def test_a_key_refused_at_the_start_is_a_configuration_error(world: World, harness: Harness) -> None:
    world.lead(world.person())
    world.lensmor.keys.clear()
    with pytest.raises(ConfigurationError, match=r"lensmor refuses the API key \(HTTP 401\); check LENSMOR_API_KEY"):
        harness.sync()
    assert world.paid_posts() == 0


def test_a_key_refused_during_a_run_defers_and_loses_nothing(world: World, harness: Harness) -> None:
    leads = [world.lead(world.person()) for _ in range(2)]
    keys = dict(world.lensmor.keys)
    world.clock.at(5, world.lensmor.keys.clear)
    harness = harness.other(email_only())
    report = harness.sync()
    assert report.exit_code == 4
    assert "lensmor refuses the API key (HTTP 401); check LENSMOR_API_KEY" in report.stopped
    assert report.outcomes == {Outcome.WAITING: 2}
    world.lensmor.keys.update(keys)
    world.clock.advance(minutes=15)
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 2}
    assert all(world.get(lead)["Email"] for lead in leads)
    assert world.paid_posts() == 1


@pytest.mark.parametrize("status", REFUSED_FOR_GOOD)
def test_a_definite_refusal_is_found_by_bisection_at_no_cost(world: World, harness: Harness, status: int) -> None:
    people = [world.person() for _ in range(4)]
    leads = [world.lead(person) for person in people]
    world.arm("lensmor", "submitEmailUnlock", "status", subject=people[1].personnel_id, status=status, times=50)
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.DELIVERED: 3, Outcome.FAILED: 1}
    record = world.get(leads[1])
    assert record["Email_Unlock_Status__c"] == "Failed"
    assert f"(HTTP {status}" in str(record["Enrichment_Error__c"])
    assert report.credits["lensmor"].charged == 45
    assert report.credits["lensmor"].held == 0


def test_409_is_read_first_and_sent_again_after_fifteen_minutes(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    world.arm("lensmor", "submitEmailUnlock", "status", status=409)
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.email
    sent = [entry.at for entry in world.lensmor.requests.entries if entry.operation == "submitEmailUnlock"]
    assert round(sent[1] - sent[0]) == 900
    assert world.lensmor.requests.count("getPersonnelProfile") == 1


def test_409_for_a_shown_person_is_used_at_no_cost(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    world.lensmor.set_unlocked(person.personnel_id, "email")
    world.arm("lensmor", "submitEmailUnlock", "status", status=409)
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.email
    assert world.paid_posts() == 1
    assert report.credits["lensmor"].charged == 0


@pytest.mark.parametrize(("params", "pause_s"), [({}, 60), ({"retry_after": 7}, 7), ({"retry_after": 9_999}, 900)])
def test_429_is_waited_out(world: World, harness: Harness, params: dict[str, object], pause_s: int) -> None:
    person = world.person()
    lead = world.lead(person)
    world.arm("lensmor", "submitEmailUnlock", "status", status=429, **params)
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.email
    sent = [entry.at for entry in world.lensmor.requests.entries if entry.operation == "submitEmailUnlock"]
    assert round(sent[1] - sent[0]) == pause_s
    assert report.credits["lensmor"].charged == 15


def test_the_vendors_own_rate_limit_is_never_exceeded_for_long(world: World, harness: Harness) -> None:
    people = [world.person() for _ in range(30)]
    for person in people:
        world.lead(person, Lensmor_Personnel_Id__c=None)
    world.lensmor.rate_limit = 10
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.DELIVERED: 30}
    assert world.lensmor.requests.count(status=429) <= 2
    assert world.ours("lensmor") == 450


def test_an_unsent_purchase_is_sent_a_little_later(
    world: World, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    _unreachable(monkeypatch, times=2)
    lead = world.lead(world.person())
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] is not None
    assert report.exit_code == 0


def test_a_vendor_unreachable_for_half_a_minute_is_down(
    world: World, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    _unreachable(monkeypatch, times=1000)
    lead = world.lead(world.person())
    harness = harness.other(email_only())
    report = harness.sync()
    assert report.outcomes == {Outcome.DEFERRED: 1}
    assert report.exit_code == 4
    assert 30 <= world.clock.waited_s < 60
    assert report.credits["lensmor"].held == 0
    monkeypatch.undo()
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] is not None


def _unreachable(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    left = [times]
    submit = Lensmor.submit

    def refuse(self: Lensmor, *args: object) -> object:
        if left[0] > 0:
            left[0] -= 1
            raise UnreachableError("lensmor cannot be reached: no answer (ConnectError)")
        return submit(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Lensmor, "submit", refuse)


def test_people_skipped_without_a_reason_are_verified(world: World, harness: Harness) -> None:
    bought, owned, never = world.person(), world.person(), world.person()
    leads = [world.lead(person) for person in (bought, owned, never)]
    world.lensmor.set_unlocked(owned.personnel_id, "email")
    left_out = [owned.personnel_id, never.personnel_id]
    world.arm("lensmor", "submitEmailUnlock", "extra_skip", persons=left_out)
    report = harness.other(email_only()).sync()
    assert [world.get(lead)["Email"] for lead in leads[:2]] == [bought.email, owned.email]
    assert report.outcomes == {Outcome.DELIVERED: 2, Outcome.FAILED: 1}
    assert "its record shows no purchase" in str(world.get(leads[2])["Enrichment_Error__c"])


def test_a_lost_task_is_resolved_by_profiles(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    world.arm("lensmor", "getEmailUnlockTask", "not_found", times=100)
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.email
    assert world.paid_posts() == 1


def test_a_lagging_profile_is_read_until_it_shows_the_purchase(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    world.lensmor.script(person.personnel_id, "email", "missing")
    world.lensmor.profile_lag_seconds = 400
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.email
    assert world.paid_posts() == 1
