"""The writes for a result and the current record: a table of write policies, statuses, flag and stamps."""

from dataclasses import replace

import pytest
from core_cases import WRITTEN_NOW, changed, mapping_of, record_of

from connector.core.mapping import MappingFile
from connector.core.model import Channel, CrmRecord, FieldValue, Outcome
from connector.core.values import stored_form
from connector.core.writeback import ChannelResult, Write, WriteRules

EMAIL, PHONE = Channel.WORK_EMAIL, Channel.PHONE
OVERWRITE = {"write": "overwrite"}
STAMPED = "2026-11-20T10:00:00.000+0000"


def baseline(value: FieldValue, is_email: bool = True) -> str:
    """The baseline of a field; here in plain text instead of a hash."""
    return repr(stored_form(value, is_email=is_email))


def decide(
    record: CrmRecord,
    *results: ChannelResult,
    mapping: MappingFile | None = None,
    personnel_id: str | None = None,
    **lengths: int,
) -> Write:
    return WriteRules(mapping or mapping_of(), lengths, _is, WRITTEN_NOW).decide(
        record, list(results), {} if personnel_id is None else {"personnel_id": personnel_id}
    )


def _is(hashed: str, value: FieldValue) -> bool:
    assert hashed.strip(), "only a baseline is compared"
    return hashed == repr(value)


def sent(write: Write) -> dict[str, FieldValue]:
    return {change.field: change.after for change in write.changes}


DELIVERED = ChannelResult(EMAIL, Outcome.DELIVERED, value="Ada@Example.com", source="lensmor")
NUMBER = ChannelResult(PHONE, Outcome.DELIVERED, value="+1 415 555 0123", source="lensmor")
WRITTEN = {
    "Email": "ada@example.com",
    "Email_Status__c": "Unlocked",
    "Ask__c": False,
    "At__c": STAMPED,
    "Source__c": "lensmor",
}


# -- values -----------------------------------------------------------------------------------------------------


def test_value_status_stamps_and_flag_are_sent_together() -> None:
    write = decide(record_of(), DELIVERED)
    assert sent(write) == WRITTEN
    assert (write.outcome, write.reason, write.closes) == (Outcome.DELIVERED, "", True)
    assert write.outcomes == {EMAIL: (Outcome.DELIVERED, "")}
    assert not write.culprits


def test_each_change_has_the_value_before() -> None:
    write = decide(record_of(Email="  ", Source__c="Web"), DELIVERED)
    before = {change.field: change.before for change in write.changes}
    assert before == {"Email": "  ", "Email_Status__c": None, "Ask__c": True, "At__c": None, "Source__c": "Web"}


@pytest.mark.parametrize("held", ["ada@example.com", "ADA@Example.com", " ada@example.com "])
def test_a_field_that_holds_our_value_counts_as_delivered(held: str) -> None:
    write = decide(record_of(Email=held), DELIVERED)
    assert sent(write) == {"Email_Status__c": "Unlocked", "Ask__c": False}
    assert write.outcome is Outcome.DELIVERED


@pytest.mark.parametrize("write_policy", ["if_empty", "overwrite"])
def test_a_filled_field_without_baseline_stays(write_policy: str) -> None:
    mapping = mapping_of(work_email={"write": write_policy})
    write = decide(record_of(Email="kept@example.com"), DELIVERED, mapping=mapping)
    assert "Email" not in sent(write)
    assert write.outcome is Outcome.SKIPPED
    assert write.reason == "work email: Email was changed by somebody meanwhile; that value stays"
    assert sent(write)["Error__c"] == write.reason
    assert sent(write)["Email_Status__c"] == "Skipped"
    assert write.closes


def test_if_empty_ignores_a_baseline() -> None:
    result = replace(DELIVERED, baseline=baseline("kept@example.com"))
    assert "Email" not in sent(decide(record_of(Email="kept@example.com"), result))


@pytest.mark.parametrize(
    ("was", "now", "replaced"),
    [
        ("old@example.com", "old@example.com", True),
        ("old@example.com", "OLD@example.com ", True),  # equal in Salesforce's stored form
        ("old@example.com", "edited@example.com", False),
        (None, "edited@example.com", False),
        ("old@example.com", None, True),  # emptied in the meantime: there is nothing to protect
        (None, None, True),
    ],
)
def test_overwrite_replaces_only_an_unchanged_value(was: FieldValue, now: FieldValue, replaced: bool) -> None:
    result = replace(DELIVERED, baseline=baseline(was))
    write = decide(record_of(Email=now), result, mapping=mapping_of(work_email=OVERWRITE))
    assert (sent(write).get("Email") == "ada@example.com") is replaced
    assert write.outcome is (Outcome.DELIVERED if replaced else Outcome.SKIPPED)


@pytest.mark.parametrize(
    ("was", "now", "replaced"),
    [
        ("bounced@example.com", "bounced@example.com", True),
        ("bounced@example.com", "corrected@example.com", False),  # by a person, in the meantime
        (None, "typed@example.com", False),
        ("bounced@example.com", None, True),
    ],
)
def test_a_bounced_address_counts_as_empty(was: FieldValue, now: FieldValue, replaced: bool) -> None:
    record = record_of(Email=now, Bounced__c="2026-10-01T00:00:00.000+0000")
    write = decide(record, replace(DELIVERED, baseline=baseline(was)))
    assert (sent(write).get("Email") == "ada@example.com") is replaced
    assert write.outcome is (Outcome.DELIVERED if replaced else Outcome.SKIPPED)


def test_without_a_baseline_no_value_is_replaced() -> None:
    assert "Email" not in sent(decide(record_of(Email="bounced@example.com", Bounced__c="2026-10-01"), DELIVERED))


@pytest.mark.parametrize("held", [None, "kept@example.com"])
def test_a_later_opt_out_is_respected(held: str | None) -> None:
    result = replace(DELIVERED, baseline=baseline(held))
    write = decide(record_of(NoEmail__c=True, Email=held), result, mapping=mapping_of(work_email=OVERWRITE))
    assert "Email" not in sent(write)
    assert write.outcome is Outcome.SKIPPED
    assert write.reason == "work email: opted out (NoEmail__c) after the purchase; the value is not written"
    assert sent(write)["Email_Status__c"] == "Skipped"


@pytest.mark.parametrize("value", ["", "  "])
@pytest.mark.parametrize("held", [None, "kept@example.com"])
def test_a_value_is_never_replaced_by_an_empty_one(value: str, held: str | None) -> None:
    result = replace(DELIVERED, value=value, baseline=baseline(held))
    write = decide(record_of(Email=held), result, mapping=mapping_of(work_email=OVERWRITE))
    assert "Email" not in sent(write)
    assert write.outcome is Outcome.NOT_FOUND


def test_phones_are_written_in_the_mappings_form() -> None:
    write = decide(record_of(), NUMBER)
    assert sent(write)["MobilePhone"] == "+14155550123"
    given = decide(record_of(), NUMBER, mapping=mapping_of(phone={"format": "as_given"}))
    assert sent(given)["MobilePhone"] == "+1 415 555 0123"


# -- statuses ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "word", "closes"),
    [
        (Outcome.NOT_FOUND, "Not found", True),
        (Outcome.FAILED, "Failed", True),
        (Outcome.SKIPPED, "Skipped", True),
        (Outcome.WAITING, "In progress", False),
        (Outcome.UNKNOWN, "Unknown", False),
        (Outcome.DEFERRED, None, False),
    ],
)
def test_each_outcome_has_its_status_and_keeps_or_clears_the_flag(
    outcome: Outcome, word: str | None, closes: bool
) -> None:
    write = decide(record_of(), ChannelResult(EMAIL, outcome, "because"))
    assert sent(write).get("Email_Status__c") == word
    assert ("Ask__c" in sent(write)) is closes
    assert write.closes is closes
    assert write.outcome is outcome
    assert write.reason == "work email: because"


def test_statuses_are_those_of_the_mapping() -> None:
    mapping = mapping_of(statuses={"unlocked": "Gefunden", "not_found": "Nichts"})
    missed = ChannelResult(PHONE, Outcome.NOT_FOUND, "lensmor did not find it")
    write = decide(record_of(), DELIVERED, missed, mapping=mapping)
    assert (sent(write)["Email_Status__c"], sent(write)["Phone_Status__c"]) == ("Gefunden", "Nichts")


def test_a_skip_within_refresh_after_keeps_the_status() -> None:
    result = ChannelResult(EMAIL, Outcome.SKIPPED, "work_email was enriched less than 180 days ago", keep_status=True)
    write = decide(record_of(Email_Status__c="Unlocked", Email="ada@example.com"), result)
    assert sent(write) == {"Ask__c": False, "Error__c": "work email: work_email was enriched less than 180 days ago"}


def test_in_progress_is_written_once() -> None:
    waiting = ChannelResult(EMAIL, Outcome.WAITING, "lensmor has not finished yet")
    first = decide(record_of(), waiting)
    assert sent(first) == {"Email_Status__c": "In progress"}  # it is not an error
    assert not decide(changed(record_of(), first.changes), waiting).changes


def test_a_deferred_record_is_not_touched() -> None:
    write = decide(record_of(), ChannelResult(EMAIL, Outcome.DEFERRED, "daily cap", keep_status=True))
    assert not write.changes
    assert (write.outcome, write.closes) == (Outcome.DEFERRED, False)


def test_a_channel_without_a_status_field() -> None:
    write = decide(record_of(), DELIVERED, mapping=mapping_of(work_email={"status": None}))
    assert set(sent(write)) == {"Email", "Ask__c", "At__c", "Source__c"}


def test_a_channel_that_is_no_longer_mapped_is_skipped() -> None:
    gone = ChannelResult(Channel.PERSONAL_EMAIL, Outcome.DELIVERED, value="ada@home.example", source="salesfinity")
    write = decide(record_of(), gone)
    assert write.outcomes[Channel.PERSONAL_EMAIL] == (Outcome.SKIPPED, "personal_email is no longer mapped")
    assert "ada@home.example" not in sent(write).values()


# -- the flag ---------------------------------------------------------------------------------------------------


def test_a_flag_that_was_unticked_is_left_unchanged() -> None:
    write = decide(record_of(Ask__c=False), DELIVERED)
    assert "Ask__c" not in sent(write)
    assert sent(write)["Email"] == "ada@example.com"
    assert write.closes


def test_one_waiting_channel_keeps_the_flag_and_writes_the_other() -> None:
    waiting = ChannelResult(PHONE, Outcome.WAITING, "lensmor has not finished yet")
    write = decide(record_of(), DELIVERED, waiting)
    assert sent(write)["Email"] == "ada@example.com"
    assert sent(write)["Phone_Status__c"] == "In progress"
    assert "Ask__c" not in sent(write)
    assert (write.outcome, write.closes) == (Outcome.WAITING, False)


@pytest.mark.parametrize(
    ("now", "after"),
    [("Requested", "Done"), ("Done", None), ("Later", None), (None, None)],
)
def test_a_picklist_flag_gets_its_done_value(now: str | None, after: str | None) -> None:
    mapping = mapping_of(select={"flag": {"field": "Ask__c", "asks": "Requested", "done": "Done"}})
    assert sent(decide(record_of(Ask__c=now), DELIVERED, mapping=mapping)).get("Ask__c") == after


# -- stamps -----------------------------------------------------------------------------------------------------


def test_stamps_alone_are_no_difference() -> None:
    record = record_of(Ask__c=False, Email="ada@example.com", Email_Status__c="Unlocked", Error__c="old words")
    write = decide(record, DELIVERED, personnel_id="70011")
    assert not write.changes
    assert write.outcome is Outcome.DELIVERED


def test_the_error_is_cleared_by_success_and_cut_to_length() -> None:
    assert sent(decide(record_of(Error__c="old words"), DELIVERED))["Error__c"] is None
    missed = ChannelResult(EMAIL, Outcome.NOT_FOUND, "lensmor did not find it")
    assert sent(decide(record_of(), missed, Error__c=20))["Error__c"] == "work email: lensmor…"
    assert sent(decide(record_of(), missed, Error__c=255))["Error__c"] == "work email: lensmor did not find it"


def test_the_same_reason_of_two_channels_appears_once() -> None:
    reason = "the record has no personnel id or LinkedIn address"
    both = [ChannelResult(channel, Outcome.SKIPPED, reason) for channel in (EMAIL, PHONE)]
    assert decide(record_of(), *both).reason == f"work email, phone: {reason}"
    other = [ChannelResult(EMAIL, Outcome.NOT_FOUND, "a"), ChannelResult(PHONE, Outcome.FAILED, "b")]
    assert decide(record_of(), *other).reason == "work email: a; phone: b"


def test_the_source_names_the_provider() -> None:
    both = [replace(DELIVERED, source="salesfinity"), NUMBER]
    assert sent(decide(record_of(), *both))["Source__c"] == "salesfinity, lensmor"
    assert sent(decide(record_of(), DELIVERED, NUMBER))["Source__c"] == "lensmor"
    assert sent(decide(record_of(), *both, Source__c=12))["Source__c"] == "salesfinity…"


def test_time_and_source_are_stamped_only_with_a_value() -> None:
    write = decide(record_of(), ChannelResult(EMAIL, Outcome.NOT_FOUND, "nothing"))
    assert not {"At__c", "Source__c"} & set(sent(write))


# -- stamps of single values --------------------------------------------------------------------------------------

OF_EMAIL = {"stamp": {"source": "Email_Source__c", "at": "Email_At__c", "run": "Email_Run__c"}}
ORIGIN = {"Email_Source__c": "lensmor", "Email_At__c": STAMPED, "Email_Run__c": "run-1"}


def origin(record: CrmRecord, *results: ChannelResult, value_written: bool = False) -> dict[str, FieldValue]:
    mapping = mapping_of(work_email=OF_EMAIL)
    rules = WriteRules(mapping, {"Email_Run__c": 5}, _is, WRITTEN_NOW, run_id="run-1")
    found = sent(rules.decide(record, list(results), value_written=value_written))
    return {name: value for name, value in found.items() if name in ORIGIN}


def test_a_value_is_stamped_with_its_own_origin() -> None:
    assert origin(record_of(), DELIVERED, replace(NUMBER, source="salesfinity")) == ORIGIN


@pytest.mark.parametrize(
    ("record", "result"),
    [
        (record_of(), ChannelResult(EMAIL, Outcome.NOT_FOUND, "nothing")),
        (record_of(Email="ada@example.com"), DELIVERED),
        (record_of(Email="typed@example.com"), DELIVERED),
        (record_of(), replace(DELIVERED, value=None, outcome=Outcome.WAITING)),
    ],
    ids=["not found", "the same value", "a person's value", "waiting"],
)
def test_a_value_that_was_not_written_is_not_stamped(record: CrmRecord, result: ChannelResult) -> None:
    assert origin(record, result, NUMBER) == {}


def test_a_value_that_was_written_on_its_own_gets_its_stamps_with_the_rest() -> None:
    """A row that the CRM refused as a whole: the value went first, alone."""
    assert origin(record_of(Email="ada@example.com"), DELIVERED, value_written=True) == ORIGIN


def test_the_stamp_of_a_value_is_cut_to_its_field() -> None:
    mapping = mapping_of(work_email=OF_EMAIL)
    rules = WriteRules(mapping, {"Email_Run__c": 3}, _is, WRITTEN_NOW, run_id="run-1")
    assert sent(rules.decide(record_of(), [DELIVERED]))["Email_Run__c"] == "ru…"


@pytest.mark.parametrize(("held", "stamped"), [(None, "70011"), ("", "70011"), ("80001", None)])
def test_a_resolved_personnel_id_is_written_only_to_an_empty_field(held: str | None, stamped: str | None) -> None:
    write = decide(record_of(Pid__c=held), DELIVERED, personnel_id="70011")
    assert sent(write).get("Pid__c") == stamped


# -- lengths ----------------------------------------------------------------------------------------------------


def test_a_value_that_is_too_long_is_parked_and_the_rest_is_written() -> None:
    write = decide(record_of(), DELIVERED, NUMBER, Email=10)
    assert write.outcomes[EMAIL] == (Outcome.PARKED, "the value is longer than Email allows (10 characters)")
    assert write.culprits == {EMAIL: "Email"}
    assert "Email" not in sent(write)
    assert "Email_Status__c" not in sent(write)
    assert sent(write)["MobilePhone"] == "+14155550123"
    assert "Ask__c" not in sent(write)
    assert (write.outcome, write.closes) == (Outcome.PARKED, False)


def test_a_value_of_the_maximum_length_is_written() -> None:
    assert sent(decide(record_of(), DELIVERED, Email=len("ada@example.com")))["Email"] == "ada@example.com"


def test_a_status_is_cut_to_its_field() -> None:
    assert sent(decide(record_of(), DELIVERED, Email_Status__c=5))["Email_Status__c"] == "Unlo…"
