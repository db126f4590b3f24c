"""For any result and any record: a person's edit wins, and a second write changes nothing."""

from core_cases import WRITTEN_NOW, changed, mapping_of, record_of, rules_of
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.core.mapping import MappingFile
from connector.core.mapping_channels import WritePolicy
from connector.core.model import Channel, CrmRecord, Outcome
from connector.core.values import same
from connector.core.writeback import ChannelResult, WriteRules

_POLICY = st.sampled_from(["if_empty", "overwrite"])
_EMAILS = st.one_of(
    st.sampled_from(["ada@example.com", "ADA@example.com ", "other@example.com", "", " "]), st.text(max_size=12)
)
_PHONES = st.one_of(st.sampled_from(["+1 415 555 0123", "(415) 555-0123", "12", ""]), st.text(max_size=12))
_TEXTS = st.sampled_from([None, "", "Unlocked", "In progress", "somebody's words"])
_RECORDS = st.builds(
    record_of,
    Email=st.one_of(st.none(), _EMAILS),
    MobilePhone=st.one_of(st.none(), _PHONES),
    Ask__c=st.booleans(),
    NoEmail__c=st.booleans(),
    DoNotCall=st.booleans(),
    Bounced__c=st.sampled_from([None, "2026-10-01"]),
    Email_Status__c=_TEXTS,
    Error__c=_TEXTS,
    Pid__c=st.sampled_from([None, "80001"]),
)


def _result(channel: Channel, values: st.SearchStrategy[str]) -> st.SearchStrategy[ChannelResult]:
    """A value, or the outcome and reason without one."""
    baselines = st.one_of(st.none(), st.just("None"), values.map(lambda value: repr(value.strip().lower() or None)))
    at_hand = st.builds(
        ChannelResult,
        st.just(channel),
        st.just(Outcome.DELIVERED),
        value=values,
        source=st.sampled_from(["lensmor", "salesfinity"]),
        baseline=baselines,
    )
    others = st.sampled_from([o for o in Outcome if o not in {Outcome.DELIVERED, Outcome.PARKED}])
    without = st.builds(ChannelResult, st.just(channel), others, st.sampled_from(["", "a reason"]))
    return st.one_of(at_hand, without)


_RESULTS = st.tuples(_result(Channel.WORK_EMAIL, _EMAILS), _result(Channel.PHONE, _PHONES)).map(list)
_MAPPINGS = st.builds(
    lambda email, phone: mapping_of(work_email={"write": email}, phone={"write": phone, "default_region": "US"}),
    _POLICY,
    _POLICY,
)
Found = dict[str, str]
_LENGTHS = st.fixed_dictionaries({}, optional={"Email": st.integers(0, 20), "Error__c": st.integers(1, 40)})


def _rules(mapping: MappingFile, lengths: dict[str, int]) -> WriteRules:
    return WriteRules(mapping, lengths, lambda hashed, value: hashed == repr(value), WRITTEN_NOW)


@given(_MAPPINGS, _RECORDS, _RESULTS, _LENGTHS, st.sampled_from([{}, {"personnel_id": "70011"}]))
@settings(max_examples=150, deadline=None)
def test_a_second_write_changes_nothing(
    mapping: MappingFile,
    record: CrmRecord,
    results: list[ChannelResult],
    lengths: dict[str, int],
    found: dict[str, str],
) -> None:
    rules = _rules(mapping, lengths)
    first = rules.decide(record, results, found)
    second = rules.decide(changed(record, first.changes), results, found)
    assert not second.changes
    assert second.outcomes == first.outcomes
    assert second.closes is first.closes


@given(_MAPPINGS, _RECORDS, _RESULTS, _LENGTHS)
@settings(max_examples=150, deadline=None)
def test_only_allowed_fields_are_written(
    mapping: MappingFile, record: CrmRecord, results: list[ChannelResult], lengths: dict[str, int]
) -> None:
    write = _rules(mapping, lengths).decide(record, results, {"personnel_id": "70011"})
    changes = {change.field: change for change in write.changes}
    assert len(changes) == len(write.changes)
    assert set(changes) <= mapping.written_fields()
    for name, difference in changes.items():
        assert difference.before == record.values.get(name)
        assert not same(difference.before, difference.after)
    for result in results:
        rules = rules_of(mapping, result.channel)
        change = changes.get(rules.field)
        if change is None:
            continue
        assert change.after, "nothing replaces a value by nothing"
        assert not record.truthy(rules.opt_out)
        assert write.outcomes[result.channel][0] is Outcome.DELIVERED
        if record.text(rules.field) and not record.truthy(rules.empty_when):
            assert rules.write is WritePolicy.OVERWRITE
        if record.text(rules.field):
            assert result.baseline is not None


@given(_MAPPINGS, _RECORDS, _RESULTS)
@settings(max_examples=100, deadline=None)
def test_the_flag_is_cleared_exactly_when_the_record_closes(
    mapping: MappingFile, record: CrmRecord, results: list[ChannelResult]
) -> None:
    write = _rules(mapping, {}).decide(record, results)
    keeps = {Outcome.WAITING, Outcome.UNKNOWN, Outcome.DEFERRED, Outcome.PARKED}
    assert write.closes is not any(outcome in keeps for outcome, _ in write.outcomes.values())
    cleared = any(change.field == "Ask__c" and change.after is False for change in write.changes)
    assert cleared is (write.closes and record.values["Ask__c"] is True)


@given(_MAPPINGS, _RECORDS, _RESULTS)
@settings(max_examples=100, deadline=None)
def test_stamps_are_never_sent_alone(mapping: MappingFile, record: CrmRecord, results: list[ChannelResult]) -> None:
    stamps = {name for _, name in mapping.stamp.fields()}
    write = _rules(mapping, {}).decide(record, results, {"personnel_id": "70011"})
    assert not write.changes or any(change.field not in stamps for change in write.changes)
