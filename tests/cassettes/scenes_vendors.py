"""Scenes between the connector and the two vendors, which are recorded and replayed."""

import pytest
from persons import link, match_with, pid, pids
from scene_setting import ADA, EVENT, NOBODY, PERSON, SECOND_PERSON, Scene, Setting

from connector.core.errors import ConfigurationError, CreditsError, LostAnswerError, NotThereError, RefusedError
from connector.core.model import Channel, Identifier
from connector.core.recover import ProviderState
from connector.providers.interface import UNREADABLE_WORD, Item, ItemState, Provider, SkipReason, TaskReport
from connector.simulator.faults import Fault
from connector.simulator.people import SimEvent, SimPerson
from connector.simulator.server import Simulator

EXPO = SimEvent("9001", EVENT, "Example Robotics Expo 2027", "2027-03-02", "2027-03-04", "Utrecht", "Netherlands")
EMAIL, PHONE, PERSONAL = Channel.WORK_EMAIL, Channel.PHONE, Channel.PERSONAL_EMAIL
POLLS = 60


def people(sim: Simulator) -> None:
    """One event and two people, whom both vendors know."""
    sim.lensmor.add_event(EXPO)
    for number, name in ((PERSON, ADA), (SECOND_PERSON, "bo-sample-example")):
        person = SimPerson(
            number,
            "Example Person",
            company="Example Works",
            linkedin_name=name,
            event_ids=(EVENT,),
            email=f"p{number}@example.com",
            phone=f"+1 415 555 01{number[-2:]}",
            work_email=f"p{number}.work@example.com",
            personal_email=f"p{number}.home@example.com",
        )
        sim.lensmor.add_person(person)
        sim.salesfinity.add_person(person)


def spoil(sim: Simulator, operation: str, action: str, **params: object) -> None:
    """Arm one fault at the site that has the operation."""
    site = "salesfinity" if "Enrichment" in operation else "lensmor"
    sim.arm(Fault(site, operation, action, params=params))


def finished(setting: Setting, provider: Provider, channel: Channel, task_id: str, person: Identifier) -> TaskReport:
    """Poll a task until it has ended."""
    for number in range(POLLS):
        report = provider.read_task(channel, task_id, [person])
        if report.ended:
            return report
        setting.wait(provider.poll_schedule_s[min(number, len(provider.poll_schedule_s) - 1)])
    raise AssertionError("the task did not end")


# -- Lensmor -------------------------------------------------------------------------------------------------------


def lensmor_success(setting: Setting) -> None:
    provider, person, event = setting.vendor("lensmor"), setting.who(PERSON), setting.who(EVENT)
    before = provider.balance()
    found = provider.resolve_identity(link(setting.who(ADA)))
    assert found.match == match_with(person, (event,))
    assert found.statuses[EMAIL].view is ProviderState.NOT_BOUGHT
    submission = provider.submit(EMAIL, pids([person]), event, "attempt-1")
    assert submission.task_id is not None
    assert submission.skipped == {}
    item = finished(setting, provider, EMAIL, submission.task_id, pid(person)).items[pid(person)]
    assert item.state is ItemState.DELIVERED
    assert item.value is not None
    assert item.value.endswith("@example.com") or setting.people
    seen = provider.read_person(pid(person))
    assert (seen[EMAIL].view, seen[EMAIL].value) == (ProviderState.DELIVERED, item.value)
    assert provider.balance() == before - 15


def lensmor_partial(setting: Setting) -> None:
    provider = setting.vendor("lensmor")
    skipped = {
        pid(PERSON): SkipReason.ALREADY_UNLOCKED,
        pid(NOBODY): SkipReason.MISSING,
        pid("x-1"): SkipReason.INVALID,
    }
    task = provider.submit(PHONE, pids([PERSON, SECOND_PERSON, NOBODY, "x-1"]), EVENT, "attempt-1")
    assert task.skipped == skipped
    assert task.task_id is not None
    item = finished(setting, provider, PHONE, task.task_id, pid(SECOND_PERSON)).items[pid(SECOND_PERSON)]
    assert item == Item(ItemState.FAILED, detail="TASK_FAILED")
    assert provider.read_person(pid(PERSON))[PHONE].value == "+1 415 555 0111"
    nothing = provider.submit(PHONE, pids([PERSON, NOBODY]), EVENT, "attempt-2")
    assert nothing.task_id is None
    assert nothing.skipped == {pid(PERSON): SkipReason.ALREADY_UNLOCKED, pid(NOBODY): SkipReason.MISSING}


def arrange_lensmor_partial(sim: Simulator) -> None:
    people(sim)
    sim.lensmor.set_unlocked(PERSON, "phone")
    sim.lensmor.script(SECOND_PERSON, "phone", "failed")


def lensmor_rate_limited(setting: Setting) -> None:
    provider = setting.vendor("lensmor")
    assert provider.balance() == 100_000
    assert setting.slept == [9.0]
    assert (setting.pace.pauses, set(setting.pace.limits)) == ([9.0], {117.6})
    with pytest.raises(RefusedError) as caught:
        provider.submit(EMAIL, pids([PERSON]), EVENT, "attempt-1")
    assert caught.value.retry_after_s == 7.0
    with pytest.raises(RefusedError) as without:
        provider.submit(EMAIL, pids([PERSON]), EVENT, "attempt-2")
    assert without.value.retry_after_s == 60.0
    assert provider.submit(EMAIL, pids([PERSON]), EVENT, "attempt-3").task_id is not None


def arrange_lensmor_rate_limited(sim: Simulator) -> None:
    people(sim)
    spoil(sim, "getCreditsBalance", "status", status=429, retry_after=9)
    spoil(sim, "submitEmailUnlock", "status", status=429, retry_after=7)
    spoil(sim, "submitEmailUnlock", "status", status=429)


def lensmor_refused(setting: Setting) -> None:
    with pytest.raises(ConfigurationError):
        setting.vendor("lensmor", "wrong").balance()
    provider = setting.vendor("lensmor")
    with pytest.raises(CreditsError):
        provider.submit(PHONE, pids([PERSON]), EVENT, "attempt-1")
    with pytest.raises(RefusedError) as conflict:
        provider.submit(EMAIL, pids([PERSON]), EVENT, "attempt-2")
    assert conflict.value.reread
    with pytest.raises(RefusedError) as eventless:
        provider.submit(EMAIL, pids([PERSON]), None, "attempt-3")
    assert eventless.value.needs_grouping_key
    with pytest.raises(NotThereError):
        provider.read_task(EMAIL, "1", pids([PERSON]))
    with pytest.raises(NotThereError):
        provider.read_person(pid(NOBODY))
    assert provider.resolve_identity(link("nobody-of-this-name")).match == match_with(None)


def arrange_lensmor_refused(sim: Simulator) -> None:
    people(sim)
    sim.lensmor.balance = 149
    sim.lensmor.require_event = True
    spoil(sim, "submitEmailUnlock", "status", status=409)


def lensmor_broken(setting: Setting) -> None:
    provider = setting.vendor("lensmor")
    assert provider.balance() == 100_000
    assert len(setting.slept) == 3
    with pytest.raises(LostAnswerError):
        provider.submit(EMAIL, pids([PERSON]), EVENT, "attempt-1")
    assert provider.read_person(pid(PERSON))[EMAIL].view is ProviderState.RUNNING
    for number in range(3):
        with pytest.raises(LostAnswerError):
            provider.submit(PHONE, pids([SECOND_PERSON]), EVENT, f"attempt-2{number}")
    assert provider.read_person(pid(SECOND_PERSON))[PHONE].view is ProviderState.NOT_BOUGHT
    submission = provider.submit(PHONE, pids([SECOND_PERSON]), EVENT, "attempt-3")
    report = provider.read_task(PHONE, str(submission.task_id), pids([SECOND_PERSON]))
    assert report == TaskReport(False, {}, "under_review")


def arrange_lensmor_broken(sim: Simulator) -> None:
    people(sim)
    spoil(sim, "getCreditsBalance", "error_before", status=502)
    spoil(sim, "getCreditsBalance", "truncated")
    spoil(sim, "getCreditsBalance", "error_in_2xx")
    spoil(sim, "submitEmailUnlock", "html")
    spoil(sim, "submitPhoneUnlock", "error_before", status=500)
    spoil(sim, "submitPhoneUnlock", "error_in_2xx")
    spoil(sim, "submitPhoneUnlock", "status", status=503)
    spoil(sim, "getPhoneUnlockTask", "unknown_word")


# -- Salesfinity -----------------------------------------------------------------------------------------------------


def salesfinity_success(setting: Setting) -> None:
    provider, name = setting.vendor("salesfinity"), setting.who(ADA)
    before = provider.balance()
    lookup_id = str(provider.submit(EMAIL, [link(name)], None, "attempt-1").task_id)
    report = finished(setting, provider, EMAIL, lookup_id, link(name))
    assert report.items[link(name)].state is ItemState.DELIVERED
    assert report.items[link(name)].value
    assert provider.balance() == before - 1


def salesfinity_partial(setting: Setting) -> None:
    provider = setting.vendor("salesfinity")
    second = "bo-sample-example"
    missed = str(provider.submit(EMAIL, [link(ADA)], None, "attempt-1").task_id)
    failed = str(provider.submit(EMAIL, [link(second)], None, "attempt-2").task_id)
    found = str(provider.submit(PERSONAL, [link(ADA)], None, "attempt-3").task_id)
    assert finished(setting, provider, EMAIL, missed, link(ADA)).items == {link(ADA): Item(ItemState.NOT_FOUND)}
    assert finished(setting, provider, EMAIL, failed, link(second)).items == {link(second): Item(ItemState.FAILED)}
    delivered = Item(ItemState.DELIVERED, "p70011.home@example.com")
    assert finished(setting, provider, PERSONAL, found, link(ADA)).items == {link(ADA): delivered}
    assert provider.balance() == 4999


def arrange_salesfinity_partial(sim: Simulator) -> None:
    people(sim)
    sim.salesfinity.script(ADA, "work", "not-found")
    sim.salesfinity.script("bo-sample-example", "work", "failed")


def salesfinity_rate_limited(setting: Setting) -> None:
    provider = setting.vendor("salesfinity")
    assert provider.balance() == 5000
    assert setting.slept == [60.0]
    with pytest.raises(RefusedError) as caught:
        provider.submit(EMAIL, [link(ADA)], None, "attempt-1")
    assert caught.value.retry_after_s == 5.0
    assert setting.pace.pauses == [60.0, 5.0]
    assert provider.submit(EMAIL, [link(ADA)], None, "attempt-2").task_id is not None


def arrange_salesfinity_rate_limited(sim: Simulator) -> None:
    people(sim)
    spoil(sim, "getEnrichmentCredits", "status", status=429)
    spoil(sim, "requestEmailEnrichment", "status", status=429, retry_after=5)


def salesfinity_refused(setting: Setting) -> None:
    with pytest.raises(ConfigurationError):
        setting.vendor("salesfinity", "wrong").balance()
    provider = setting.vendor("salesfinity")
    with pytest.raises(RefusedError):
        provider.submit(EMAIL, [link(ADA)], None, "attempt-1")
    with pytest.raises(CreditsError):
        provider.submit(EMAIL, [link(ADA)], None, "attempt-2")
    with pytest.raises(NotThereError):
        provider.read_task(EMAIL, "5f00000000000000000000ff", [link(ADA)])


def arrange_salesfinity_refused(sim: Simulator) -> None:
    people(sim)
    sim.salesfinity.balance = 0
    spoil(sim, "requestEmailEnrichment", "status", status=400)


def salesfinity_broken(setting: Setting) -> None:
    provider = setting.vendor("salesfinity")
    assert provider.balance() == 5000
    assert len(setting.slept) == 2
    for number in range(3):
        with pytest.raises(LostAnswerError):
            provider.submit(EMAIL, [link(ADA)], None, f"attempt-{number}")
    lookup_id = str(provider.submit(EMAIL, [link(ADA)], None, "attempt-3").task_id)
    setting.wait(60)
    assert provider.read_task(EMAIL, lookup_id, [link(ADA)]) == TaskReport(False, {}, "under_review")
    assert provider.read_task(EMAIL, lookup_id, [link(ADA)]) == TaskReport(False, {}, UNREADABLE_WORD)
    assert provider.read_task(EMAIL, lookup_id, [link(ADA)]).ended


def arrange_salesfinity_broken(sim: Simulator) -> None:
    people(sim)
    spoil(sim, "getEnrichmentCredits", "html")
    spoil(sim, "getEnrichmentCredits", "truncated")
    spoil(sim, "requestEmailEnrichment", "html")
    spoil(sim, "requestEmailEnrichment", "wrong_types")
    spoil(sim, "requestEmailEnrichment", "error_after", status=504)
    spoil(sim, "getEmailEnrichment", "unknown_word")
    spoil(sim, "getEmailEnrichment", "wrong_types")


SCENES = (
    Scene("lensmor", "success", lensmor_success, people, "one email unlock: 15 Lensmor credits"),
    Scene("lensmor", "partial", lensmor_partial, arrange_lensmor_partial),
    Scene("lensmor", "rate_limited", lensmor_rate_limited, arrange_lensmor_rate_limited),
    Scene("lensmor", "refused", lensmor_refused, arrange_lensmor_refused),
    Scene("lensmor", "broken", lensmor_broken, arrange_lensmor_broken),
    Scene("salesfinity", "success", salesfinity_success, people, "one lookup: 1 Salesfinity credit"),
    Scene("salesfinity", "partial", salesfinity_partial, arrange_salesfinity_partial),
    Scene("salesfinity", "rate_limited", salesfinity_rate_limited, arrange_salesfinity_rate_limited),
    Scene("salesfinity", "refused", salesfinity_refused, arrange_salesfinity_refused),
    Scene("salesfinity", "broken", salesfinity_broken, arrange_salesfinity_broken),
)
