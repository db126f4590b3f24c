"""What is decided for one channel: the whole table of records, ledgers and sources, each decision with its reason."""

from collections.abc import Mapping
from datetime import timedelta

import pytest
from core_cases import LEAD_ID, LENSMOR, NOW, SALESFINITY, SOURCES, mapping_of, purchase_of, record_of, rules_of
from persons import link, match_with, person_with, pid

from connector.core.mapping import MappingFile
from connector.core.model import (
    Channel,
    FieldValue,
    Person,
    Purchase,
    PurchaseKey,
    Result,
)
from connector.core.plan import (
    AttachToPending,
    Buy,
    ChannelRequest,
    Decision,
    Defer,
    FailedSource,
    Planner,
    PlanningSnapshot,
    ResolveIdentity,
    Reuse,
    Skip,
    SourcesExhausted,
)
from connector.core.states import PurchaseState

ADA = person_with("70011", "52001", "ada-sample")
EMAIL = Channel.WORK_EMAIL
LENSMOR_KEY = PurchaseKey("lensmor", "default", EMAIL, pid("70011"))
SALESFINITY_KEY = PurchaseKey("salesfinity", "default", EMAIL, link("ada-sample"))
BUY_LENSMOR = Buy(LENSMOR_KEY, 1, "52001", 15, 0)
DAY = timedelta(days=1)
OVERWRITE = {"write": "overwrite"}


def decide(
    values: Mapping[str, FieldValue] | None = None,
    person: Person = ADA,
    snapshot: PlanningSnapshot | None = None,
    mapping: MappingFile | None = None,
    channel: Channel = EMAIL,
) -> Decision:
    mapping = mapping or mapping_of()
    planner = Planner(mapping, SOURCES, NOW)
    record = record_of(**(values or {}))
    return planner.plan_channel(record, person, channel, rules_of(mapping, channel), snapshot or PlanningSnapshot())


def knowing(*purchases: Purchase, served: bool = False, **matches: str | None) -> PlanningSnapshot:
    """A ledger with these purchases and LinkedIn answers."""
    return PlanningSnapshot(
        {purchase.key: purchase for purchase in purchases},
        {("lensmor", link(name.replace("_", "-"))): match_with(found) for name, found in matches.items()},
        {(LEAD_ID, purchase.id) for purchase in purchases} if served else frozenset(),
    )


def salesfinity(result: Result | None, state: PurchaseState = PurchaseState.FINAL, age: timedelta = DAY) -> Purchase:
    return purchase_of(SALESFINITY, state, result, age, person="ada-sample")


# -- the record itself ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "decision"),
    [
        ({}, BUY_LENSMOR),
        ({"Email": ""}, BUY_LENSMOR),
        ({"Email": "  "}, BUY_LENSMOR),
        ({"Email": None, "NoEmail__c": False}, BUY_LENSMOR),
        ({"NoEmail__c": True}, Skip("opted out (NoEmail__c)")),
        ({"NoEmail__c": True, "Email": "kept@example.com"}, Skip("opted out (NoEmail__c)")),
        ({"NoEmail__c": "2026-01-01"}, Skip("opted out (NoEmail__c)")),
        ({"DoNotCall": True}, BUY_LENSMOR),
        ({"Email": "kept@example.com"}, Skip("Email is already filled", already_filled=True)),
        ({"Email": "old@example.com", "Bounced__c": "2026-10-01T00:00:00.000+0000"}, BUY_LENSMOR),
        ({"Email": "kept@example.com", "Bounced__c": False}, Skip("Email is already filled", already_filled=True)),
        ({"Email": "kept@example.com", "Bounced__c": None}, Skip("Email is already filled", already_filled=True)),
    ],
)
def test_the_record_may_forbid_a_purchase(values: dict[str, FieldValue], decision: Decision) -> None:
    assert decide(values) == decision


def test_overwrite_buys_for_a_filled_field_too() -> None:
    assert decide({"Email": "old@example.com"}, mapping=mapping_of(work_email=OVERWRITE)) == BUY_LENSMOR


def test_overwrite_does_not_override_an_opt_out() -> None:
    found = decide({"Email": "old@example.com", "NoEmail__c": True}, mapping=mapping_of(work_email=OVERWRITE))
    assert found == Skip("opted out (NoEmail__c)")


def test_each_channel_has_its_own_opt_out_and_price() -> None:
    key = PurchaseKey("lensmor", "default", Channel.PHONE, pid("70011"))
    assert decide({"NoEmail__c": True}, channel=Channel.PHONE) == Buy(key, 1, "52001", 150, 0)
    assert decide({"DoNotCall": True}, channel=Channel.PHONE) == Skip("opted out (DoNotCall)")


# -- one source's ledger ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [state for state in PurchaseState if state is not PurchaseState.FINAL])
def test_what_is_under_way_is_joined_and_never_passed(state: PurchaseState) -> None:
    purchase = purchase_of(state=state)
    assert decide(snapshot=knowing(purchase)) == AttachToPending(purchase, 0)
    assert decide(snapshot=knowing(purchase, salesfinity(Result.DELIVERED))) == AttachToPending(purchase, 0)


@pytest.mark.parametrize("state", [state for state in PurchaseState if state is not PurchaseState.FINAL])
def test_the_second_source_is_joined_too(state: PurchaseState) -> None:
    second = salesfinity(None, state)
    first = FailedSource("lensmor", Result.NOT_FOUND, "lensmor did not find it on 2026-11-19")
    found = decide(snapshot=knowing(purchase_of(result=Result.NOT_FOUND, age=DAY), second))
    assert found == AttachToPending(second, 1, (first,))


@pytest.mark.parametrize(
    ("age", "fresh"),
    [
        (timedelta(), True),
        (180 * DAY - timedelta(microseconds=1), True),
        (180 * DAY, False),
        (400 * DAY, False),
    ],
)
def test_a_delivered_value_is_taken_until_refresh_after(age: timedelta, fresh: bool) -> None:
    purchase = purchase_of(result=Result.DELIVERED, age=age)
    expected: Decision = Reuse(purchase, 0) if fresh else Buy(LENSMOR_KEY, 2, "52001", 15, 0)
    assert decide(snapshot=knowing(purchase)) == expected


@pytest.mark.parametrize(
    ("age", "asks_again"),
    [(timedelta(), False), (30 * DAY - timedelta(microseconds=1), False), (30 * DAY, True), (300 * DAY, True)],
)
def test_not_found_is_asked_again_after_retry_not_found_after(age: timedelta, asks_again: bool) -> None:
    mapping = mapping_of(work_email={"from": ["lensmor"]})
    found = decide(snapshot=knowing(purchase_of(result=Result.NOT_FOUND, age=age)), mapping=mapping)
    if asks_again:
        assert found == Buy(LENSMOR_KEY, 2, "52001", 15, 0)
    else:
        reason = f"lensmor did not find it on {NOW - age:%Y-%m-%d}"
        assert found == SourcesExhausted(Result.NOT_FOUND, reason, (FailedSource("lensmor", Result.NOT_FOUND, reason),))


@pytest.mark.parametrize("age", [timedelta(), 30 * DAY, 180 * DAY, 4000 * DAY])
def test_failed_is_never_bought_again_by_itself(age: timedelta) -> None:
    mapping = mapping_of(work_email={"from": ["lensmor"]})
    purchase = purchase_of(result=Result.FAILED, age=age, reason="lensmor failed (E42)")
    found = decide(snapshot=knowing(purchase), mapping=mapping)
    assert found == SourcesExhausted(
        Result.FAILED, "lensmor failed (E42)", (FailedSource("lensmor", Result.FAILED, "lensmor failed (E42)"),)
    )


def test_a_failed_one_is_bought_again_when_an_operator_says_so() -> None:
    purchase = purchase_of(result=Result.FAILED, age=DAY, repeat_allowed=True)
    assert decide(snapshot=knowing(purchase)) == Buy(LENSMOR_KEY, 2, "52001", 15, 0)


@pytest.mark.parametrize("result", [Result.DELIVERED, Result.NOT_FOUND])
def test_an_operators_word_on_a_failure_shortens_no_other_wait(result: Result) -> None:
    purchase = purchase_of(result=result, age=DAY, repeat_allowed=True)
    mapping = mapping_of(work_email={"from": ["lensmor"]})
    assert not isinstance(decide(snapshot=knowing(purchase), mapping=mapping), Buy)


def test_limits_of_the_mapping_set_the_times() -> None:
    mapping = mapping_of(limits={"refresh_after": "30m", "retry_not_found_after": "2h"})
    delivered = purchase_of(result=Result.DELIVERED, age=timedelta(minutes=29))
    assert decide(snapshot=knowing(delivered), mapping=mapping) == Reuse(delivered, 0)
    old = purchase_of(result=Result.DELIVERED, age=timedelta(minutes=30))
    assert isinstance(decide(snapshot=knowing(old), mapping=mapping), Buy)
    missed = purchase_of(result=Result.NOT_FOUND, age=timedelta(hours=2))
    assert decide(snapshot=knowing(missed), mapping=mapping) == Buy(LENSMOR_KEY, 2, "52001", 15, 0)


# -- from source to source --------------------------------------------------------------------------------------


@pytest.mark.parametrize("result", [Result.NOT_FOUND, Result.FAILED])
def test_the_next_source_is_asked_only_after_one_ended_without_a_value(result: Result) -> None:
    found = decide(snapshot=knowing(purchase_of(result=result, age=DAY, reason="no luck")))
    assert isinstance(found, Buy)
    assert (found.key, found.generation, found.grouping_key, found.price_credits, found.position) == (
        SALESFINITY_KEY,
        1,
        None,
        1,
        1,
    )
    assert [(t.source, t.result) for t in found.failed_sources] == [("lensmor", result)]


def test_not_found_everywhere_is_not_found_and_one_failure_makes_it_failed() -> None:
    missed, failed = salesfinity(Result.NOT_FOUND), purchase_of(result=Result.FAILED, age=DAY, reason="lensmor failed")
    both = decide(snapshot=knowing(purchase_of(result=Result.NOT_FOUND, age=DAY), missed))
    assert isinstance(both, SourcesExhausted)
    assert both.result is Result.NOT_FOUND
    assert both.reason == "lensmor did not find it on 2026-11-19; salesfinity did not find it on 2026-11-19"
    mixed = decide(snapshot=knowing(failed, missed))
    assert isinstance(mixed, SourcesExhausted)
    assert mixed.result is Result.FAILED
    assert mixed.reason == "lensmor failed; salesfinity did not find it on 2026-11-19"


def test_the_second_sources_value_is_taken_for_nothing() -> None:
    second = salesfinity(Result.DELIVERED)
    found = decide(snapshot=knowing(purchase_of(result=Result.NOT_FOUND, age=DAY), second))
    assert isinstance(found, Reuse)
    assert (found.purchase, found.position) == (second, 1)


def test_sources_are_asked_in_the_mappings_order() -> None:
    mapping = mapping_of(work_email={"from": ["salesfinity", "lensmor"]})
    assert decide(mapping=mapping) == Buy(SALESFINITY_KEY, 1, None, 1, 0)


def test_going_on_from_a_later_source_keeps_what_was_tried() -> None:
    mapping = mapping_of()
    failed_sources = (FailedSource("lensmor", Result.FAILED, "lensmor failed"),)
    planner = Planner(mapping, SOURCES, NOW)
    found = planner.next_source(ChannelRequest(ADA, EMAIL, rules_of(mapping), PlanningSnapshot()), failed_sources)
    assert found == Buy(SALESFINITY_KEY, 1, None, 1, 1, failed_sources)
    both = (*failed_sources, FailedSource("salesfinity", Result.NOT_FOUND, "salesfinity did not find it"))
    end = planner.next_source(ChannelRequest(ADA, EMAIL, rules_of(mapping), PlanningSnapshot()), both)
    assert end == SourcesExhausted(Result.FAILED, "lensmor failed; salesfinity did not find it", both)


def test_a_source_that_has_answered_already_is_not_asked_again() -> None:
    mapping = mapping_of(work_email={"from": ["salesfinity", "lensmor"]})  # the order was changed meanwhile
    failed_sources = (FailedSource("lensmor", Result.NOT_FOUND, "lensmor did not find it"),)
    planner = Planner(mapping, SOURCES, NOW)
    assert planner.next_source(
        ChannelRequest(ADA, EMAIL, rules_of(mapping), PlanningSnapshot()), failed_sources
    ) == Buy(SALESFINITY_KEY, 1, None, 1, 0, failed_sources)


# -- who is it? -------------------------------------------------------------------------------------------------


def test_a_person_known_only_by_linkedin_is_looked_up_first() -> None:
    assert decide(person=person_with(linkedin="ada-sample")) == ResolveIdentity("lensmor", link("ada-sample"), 0)


def test_a_remembered_lookup_is_used() -> None:
    found = decide(person=person_with(linkedin="ada-sample"), snapshot=knowing(ada_sample="70011"))
    assert found == Buy(LENSMOR_KEY, 1, None, 15, 0)


def test_whom_a_vendor_does_not_know_is_not_found_there_and_asked_elsewhere() -> None:
    person, nobody = person_with(linkedin="ada-sample"), knowing(ada_sample=None)
    failed_sources = (FailedSource("lensmor", Result.NOT_FOUND, "lensmor has no person with this LinkedIn address"),)
    assert decide(person=person, snapshot=nobody) == Buy(SALESFINITY_KEY, 1, None, 1, 1, failed_sources)
    alone = decide(person=person, snapshot=nobody, mapping=mapping_of(work_email={"from": ["lensmor"]}))
    assert alone == SourcesExhausted(Result.NOT_FOUND, failed_sources[0].reason, failed_sources)


@pytest.mark.parametrize(
    ("person", "reason"),
    [
        (person_with(), "the record has no personnel id or LinkedIn address"),
        (person_with(bad_link="Url__c: a company page"), "Url__c: a company page"),
    ],
)
def test_a_record_without_identifier_is_skipped_with_the_reason(person: Person, reason: str) -> None:
    assert decide(person=person) == Skip(reason, systematic=True)


def test_a_source_without_identifier_is_passed_over() -> None:
    mapping = mapping_of(work_email={"from": ["salesfinity", "lensmor"]})
    assert decide(person=person_with("70011"), mapping=mapping) == Buy(LENSMOR_KEY, 1, None, 15, 1)


def test_what_was_tried_outweighs_a_missing_identifier() -> None:
    found = decide(person=person_with("70011"), snapshot=knowing(purchase_of(result=Result.NOT_FOUND, age=DAY)))
    assert isinstance(found, SourcesExhausted)
    assert found.result is Result.NOT_FOUND


# -- loops, and other ledgers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("write", ["if_empty", "overwrite"])
def test_a_record_flagged_again_within_refresh_after_costs_nothing_and_keeps_its_status(write: str) -> None:
    mapping = mapping_of(work_email={"write": write})
    purchase = purchase_of(result=Result.DELIVERED, age=DAY)
    found = decide({"Email": "ada@example.com"}, snapshot=knowing(purchase, served=True), mapping=mapping)
    assert found == Skip("work email was enriched less than 180 days ago", keep_status=True)


def test_served_by_the_second_source_counts_too() -> None:
    snapshot = knowing(salesfinity(Result.DELIVERED), served=True)
    found = decide({"Email": "ada@example.com"}, snapshot=snapshot, mapping=mapping_of(work_email=OVERWRITE))
    assert isinstance(found, Skip)
    assert found.keep_status


def test_served_long_ago_is_bought_again_under_overwrite() -> None:
    snapshot = knowing(purchase_of(result=Result.DELIVERED, age=180 * DAY), served=True)
    found = decide({"Email": "ada@example.com"}, snapshot=snapshot, mapping=mapping_of(work_email=OVERWRITE))
    assert found == Buy(LENSMOR_KEY, 2, "52001", 15, 0)


def test_served_but_emptied_since_is_taken_again_for_nothing() -> None:
    purchase = purchase_of(result=Result.DELIVERED, age=DAY)
    assert decide({"Email": None}, snapshot=knowing(purchase, served=True)) == Reuse(purchase, 0)


def test_another_record_of_the_person_takes_what_was_bought() -> None:
    purchase = purchase_of(result=Result.DELIVERED, age=DAY)
    found = decide({"Email": "old@example.com"}, snapshot=knowing(purchase), mapping=mapping_of(work_email=OVERWRITE))
    assert found == Reuse(purchase, 0)


@pytest.mark.parametrize("person", [ADA, person_with(linkedin="ada-sample")])
def test_in_progress_by_another_ledger_is_not_bought(person: Person) -> None:
    found = decide({"Email_Status__c": "In progress"}, person=person)
    assert isinstance(found, Defer)
    assert found.reason == "Email_Status__c says In progress, but this ledger did not write it"
    assert found.attention is not None
    assert "clear the status field" in found.attention


def test_in_progress_by_this_ledger_goes_on() -> None:
    snapshot = PlanningSnapshot(in_progress=frozenset({LEAD_ID}))
    assert decide({"Email_Status__c": "In progress"}, snapshot=snapshot) == BUY_LENSMOR


def test_in_progress_does_not_keep_from_what_costs_nothing() -> None:
    values = {"Email_Status__c": "In progress"}
    purchase = purchase_of(result=Result.DELIVERED, age=DAY)
    assert decide(values, snapshot=knowing(purchase)) == Reuse(purchase, 0)
    waiting = purchase_of(state=PurchaseState.SUBMITTED)
    assert decide(values, snapshot=knowing(waiting)) == AttachToPending(waiting, 0)


@pytest.mark.parametrize("word", ["Unlocked", "in progress", "Skipped", "", None])
def test_other_status_words_do_not_matter(word: str | None) -> None:
    assert decide({"Email_Status__c": word}) == BUY_LENSMOR


def test_the_word_for_in_progress_is_the_mappings() -> None:
    mapping = mapping_of(statuses={"in_progress": "Läuft"})
    assert isinstance(decide({"Email_Status__c": "Läuft"}, mapping=mapping), Defer)
    assert decide({"Email_Status__c": "In progress"}, mapping=mapping) == BUY_LENSMOR


def test_the_same_facts_give_the_same_decision() -> None:
    snapshot = knowing(purchase_of(result=Result.NOT_FOUND, age=DAY), ada_sample="70011")
    assert decide(snapshot=snapshot) == decide(snapshot=snapshot)


def test_accounts_are_part_of_the_identity() -> None:
    other = Purchase(
        3, PurchaseKey("lensmor", "second", EMAIL, pid("70011")), 1, PurchaseState.FINAL, Result.DELIVERED, NOW
    )
    assert decide(snapshot=knowing(other)) == BUY_LENSMOR
    assert LENSMOR.sells(Channel.PHONE)
    assert not SALESFINITY.sells(Channel.PHONE)
