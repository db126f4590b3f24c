"""The requirements of the engine for every CRM adapter, tested over HTTP against the CRM's simulated org.

Every matching record is read exactly once, whatever happens between pages. A read by id shows the successor of a
converted or merged record. A write answers for each record in order, and classifies refusals. Requests are counted.
"""

from datetime import UTC, datetime

import pytest

from connector.core.errors import ConfigurationError, PassingError
from connector.core.model import CrmRecord
from connector.crm.bulk import BulkApi, JobState
from connector.crm.interface import Crm, ErrorClass, Selection, Update
from connector.testing.crm_kit import CrmKit


class CrmSuite:
    """The requirements. A derived class adds the fixture `kit`, a fresh `CrmKit` for each test."""

    # -- describing --------------------------------------------------------------------------------------------------

    def test_an_object_is_described_once(self, kit: CrmKit) -> None:
        kit.restrict(kit.word, "Requested", "Done")
        crm = kit.crm()
        info = crm.describe(kit.kind)
        assert crm.describe(kit.kind) is info
        assert kit.requests() == 1
        email, flag, word = (info.get(name) for name in (kit.email, kit.flag.upper(), kit.word.lower()))
        assert email is not None
        assert flag is not None
        assert word is not None
        assert (email.name, email.length > 0, email.updateable, email.filterable) == (kit.email, True, True, True)
        assert (flag.length, flag.allowed) == (0, None)
        assert word.allowed == frozenset({"Requested", "Done"})
        assert email.allowed is None
        assert info.get("Nonsense__c") is None
        assert info.lengths()[kit.email] == email.length
        assert kit.flag not in info.lengths()

    def test_an_unknown_object(self, kit: CrmKit) -> None:
        with pytest.raises(ConfigurationError, match="Nonsense__c"):
            kit.crm().describe("Nonsense__c")

    def test_conditions(self, kit: CrmKit) -> None:
        crm = kit.crm()
        crm.check_condition(kit.kind, kit.good)
        assert kit.requests() == 1
        for condition in kit.bad:
            with pytest.raises(ConfigurationError):
                crm.check_condition(kit.kind, condition)
        assert kit.requests() == len(kit.bad)
        for condition in kit.escapes:
            with pytest.raises(ConfigurationError):
                crm.check_condition(kit.kind, condition)
        assert kit.requests() == 0

    # -- selecting ---------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 6, 7])
    @pytest.mark.parametrize("newest_first", [False, True])
    def test_every_record_is_read_once_in_order(self, kit: CrmKit, count: int, newest_first: bool) -> None:
        made = [kit.add() for _ in range(count)]
        crm = kit.crm()
        with kit.small(page=3):
            pages = list(crm.select(Selection(kit.kind, (kit.email,), newest_first=newest_first)))
        assert [record.id for page in pages for record in page] == (made[::-1] if newest_first else made)
        assert all(0 < len(page) <= 3 for page in pages)
        assert kit.requests() == count // 3 + 1

    @pytest.mark.parametrize(("limit", "requests"), [(0, 0), (1, 1), (3, 1), (4, 2), (7, 3), (9, 3), (50, 3)])
    @pytest.mark.parametrize("newest_first", [False, True])
    def test_a_limit(self, kit: CrmKit, limit: int, requests: int, newest_first: bool) -> None:
        made = [kit.add() for _ in range(8)]
        crm = kit.crm()
        with kit.small(page=3):
            found = _ids(crm, Selection(kit.kind, (), newest_first=newest_first, limit=limit))
        assert found == (made[::-1] if newest_first else made)[:limit]
        assert kit.requests() == requests

    def test_flags_conditions_and_ids_combine(self, kit: CrmKit) -> None:
        word = "Don't \\ know"
        both = kit.add(**{kit.flag: True, kit.word: word, kit.phone: "1"})
        flagged = kit.add(**{kit.flag: True, kit.phone: "2"})
        kit.add(**{kit.phone: "1"})
        crm = kit.crm()
        assert _ids(crm, Selection(kit.kind, (), flag=(kit.flag, True))) == [both, flagged]
        assert _ids(crm, Selection(kit.kind, (), flag=(kit.word, word))) == [both]
        by_phone = kit.equals(kit.phone, "1")
        assert _ids(crm, Selection(kit.kind, (), flag=(kit.flag, True), where=(by_phone,))) == [both]
        assert _ids(crm, Selection(kit.kind, (), flag=(kit.flag, True), ids=(flagged,))) == [flagged]
        assert _ids(crm, Selection(kit.kind, (), where=(by_phone, kit.good), ids=(flagged,))) == []
        assert _ids(crm, Selection(kit.kind, (), ids=())) == []

    @pytest.mark.parametrize("newest_first", [False, True])
    def test_given_ids_are_read_once_each_in_order(self, kit: CrmKit, newest_first: bool) -> None:
        made = [kit.add() for _ in range(10)]
        kit.add()
        wanted = (*made[5:], *made[:7])  # some of them twice
        with kit.small(page=3, ids=4):
            found = _ids(kit.crm(), Selection(kit.kind, (), ids=wanted, newest_first=newest_first, limit=9))
        assert found == (made[::-1] if newest_first else made)[:9]

    @pytest.mark.parametrize("newest_first", [False, True])
    def test_records_created_and_deleted_between_pages(self, kit: CrmKit, newest_first: bool) -> None:
        made = [kit.add(**{kit.flag: True}) for _ in range(9)]
        order = made[::-1] if newest_first else made
        crm = kit.crm()
        seen: list[str] = []
        later: list[str] = []
        selection = Selection(kit.kind, (), (kit.flag, True), newest_first=newest_first)
        with kit.small(page=3):
            for number, page in enumerate(crm.select(selection)):
                seen += [record.id for record in page]
                if number == 0:
                    kit.delete(order[1])  # one that was read
                    kit.delete(order[4])  # one that was not
                    kit.edit(order[2], **{kit.flag: False})
                    kit.edit(order[5], **{kit.flag: False})
                    later.append(kit.add(**{kit.flag: True}))
        expected = [*order[:3], order[3], *order[6:]]
        assert seen == (expected if newest_first else [*expected, *later])

    def test_selected_records_have_their_fields_and_a_version(self, kit: CrmKit) -> None:
        lead = kit.add(**{kit.email: "ada@example.com"})
        crm = kit.crm()
        selection = Selection(kit.kind, (kit.email, kit.phone, kit.flag))
        (before,) = next(crm.select(selection))
        values = {kit.email: "ada@example.com", kit.phone: None, kit.flag: False}
        assert {name: before.values[name] for name in values} == values
        assert before.version
        assert (before.id, before.moved_to) == (lead, None)
        (again,) = next(crm.select(selection))
        assert again == before
        kit.edit(lead, **{kit.phone: "1"})
        (after,) = next(crm.select(selection))
        assert after.version != before.version

    # -- reading by id -----------------------------------------------------------------------------------------------

    def test_a_read_is_one_request_and_answers_for_every_id(self, kit: CrmKit) -> None:
        made = [kit.add(**{kit.phone: str(number)}) for number in range(5)]
        crm = kit.crm()
        crm.describe(kit.kind)
        kit.requests()
        found = crm.read(kit.kind, made[::-1], [kit.phone])
        assert kit.requests() == 1
        assert list(found) == made[::-1]
        assert [record.values[kit.phone] if record else None for record in found.values()] == ["4", "3", "2", "1", "0"]
        assert crm.read_size >= len(made)

    def test_deleted_and_merged_records(self, kit: CrmKit) -> None:
        here, deleted, winner, loser = (kit.add() for _ in range(4))
        crm = kit.crm()
        kit.delete(deleted)
        kit.merge(winner, loser)
        found = crm.read(kit.kind, [deleted, here, loser, winner], [kit.email])
        moved = {record_id: record.moved_to if record else "gone" for record_id, record in found.items()}
        assert moved == {deleted: "gone", here: None, loser: (kit.kind, winner), winner: None}
        assert {record.id for record in found.values() if record} == {here, loser, winner}

    def test_a_converted_record_names_its_successor(self, kit: CrmKit) -> None:
        if kit.follows is None:
            return
        converted = kit.add()
        contact = kit.convert(converted)
        crm = kit.crm()
        assert _one(crm, kit, converted, kit.email).moved_to == (kit.follows, contact)
        assert crm.read(kit.kind, [contact], [kit.email]) == {contact: None}, "a record of another kind is not there"

    def test_many_merged_records_are_followed_in_parts(self, kit: CrmKit) -> None:
        winner = kit.add()
        losers = [kit.add() for _ in range(5)]
        for loser in losers:
            kit.merge(winner, loser)
        with kit.small(ids=2):
            found = kit.crm().read(kit.kind, losers, [kit.email])
        assert [record.moved_to if record else None for record in found.values()] == [(kit.kind, winner)] * 5

    # -- writing -----------------------------------------------------------------------------------------------------

    def test_a_full_collection_is_one_request(self, kit: CrmKit) -> None:
        crm = kit.crm()
        made = [kit.add() for _ in range(crm.write_size)]
        answers = crm.update(kit.kind, [Update(lead, {kit.phone: lead}) for lead in made])
        assert answers == [None] * len(made)
        assert kit.requests() == 1
        assert all(kit.value(lead, kit.phone) == lead for lead in made)
        assert {kit.writes(lead) for lead in made} == {1}

    def test_answers_are_in_the_order_of_their_records(self, kit: CrmKit) -> None:
        made = [kit.add() for _ in range(6)]
        kit.delete(made[1])
        kit.reject(made[3], kit.troubles[ErrorClass.ROW], kit.email)
        kit.reject(made[5], kit.troubles[ErrorClass.LOCKED])
        answers = kit.crm().update(kit.kind, [Update(lead, {kit.phone: "1"}) for lead in made])
        assert [answer.error_class if answer else None for answer in answers] == [
            None,
            ErrorClass.MOVED,
            None,
            ErrorClass.ROW,
            None,
            ErrorClass.LOCKED,
        ]
        assert answers[3] is not None
        assert (answers[3].code, answers[3].fields) == (kit.troubles[ErrorClass.ROW], (kit.email,))
        assert [kit.writes(lead) for lead in made] == [1, 0, 1, 0, 1, 0]

    @pytest.mark.parametrize("error_class", ErrorClass)
    def test_each_error_class_of_a_refused_row(self, kit: CrmKit, error_class: ErrorClass) -> None:
        lead, code = kit.add(), kit.troubles[error_class]
        kit.reject(lead, code, kit.email)
        (answer,) = kit.crm().update(kit.kind, [Update(lead, {kit.phone: "1"})])
        assert answer is not None
        assert (answer.error_class, answer.code, answer.fields) == (error_class, code, (kit.email,))
        assert "ada@example.com" not in repr(answer)

    def test_values_of_every_kind_can_be_written_and_cleared(self, kit: CrmKit) -> None:
        lead = kit.add(**{kit.phone: "1", kit.flag: True})
        crm = kit.crm()
        values = {kit.phone: None, kit.flag: False, kit.email: "ada@example.com", kit.word: "Don't \\ know"}
        assert crm.update(kit.kind, [Update(lead, values)]) == [None]
        assert {name: kit.value(lead, name) for name in values} == values
        found = _one(crm, kit, lead, *values)
        assert {name: found.values[name] for name in values} == values

    def test_a_repeated_write_has_no_further_effect(self, kit: CrmKit) -> None:
        lead = kit.add()
        crm = kit.crm()
        for _ in range(2):
            assert crm.update(kit.kind, [Update(lead, {kit.phone: "1"})]) == [None]
        assert kit.value(lead, kit.phone) == "1"

    # -- jobs for many records, if the CRM has them ------------------------------------------------------------------

    @pytest.mark.parametrize("newest_first", [False, True])
    def test_a_job_selects_what_pages_select(self, kit: CrmKit, newest_first: bool) -> None:
        crm, jobs = _jobs(kit)
        kit.add(**{kit.email: "ada@example.com", kit.word: 'Don\'t "know", \\'})
        for number in range(4):
            kit.add(**{kit.flag: True, kit.phone: str(number)})
        fields = (kit.email, kit.phone, kit.flag, kit.word)
        for selection in (
            Selection(kit.kind, fields, newest_first=newest_first),
            Selection(kit.kind, fields, flag=(kit.flag, True), newest_first=newest_first, limit=3),
            Selection(kit.kind, fields, flag=(kit.flag, True), where=(kit.good, kit.equals(kit.phone, "9"))),
        ):
            by_pages = [record for page in crm.select(selection) for record in page]
            by_job = [record for page in jobs.select(selection, lambda _seconds: kit.settle()) for record in page]
            assert [(one.id, one.version, one.moved_to) for one in by_job] == [
                (one.id, one.version, one.moved_to) for one in by_pages
            ]
            for ours, theirs in zip(by_job, by_pages, strict=True):
                assert {name: ours.values[name] for name in fields} == {name: theirs.values[name] for name in fields}

    def test_a_job_updates_and_answers_in_order(self, kit: CrmKit) -> None:
        _, jobs = _jobs(kit)
        made = [kit.add(**{kit.email: "old@example.com"}) for _ in range(4)]
        kit.delete(made[1])
        kit.reject_in_jobs(made[2], kit.troubles[ErrorClass.LOCKED])
        updates = [Update(record, {kit.phone: "1", kit.email: None}) for record in made]
        job = jobs.create(kit.kind, [kit.phone, kit.email])
        assert jobs.find(job).state is JobState.OPEN
        jobs.upload(job, kit.kind, updates)
        kit.settle()
        found = jobs.find(job)
        assert (found.state, found.processed, found.failed) == (JobState.COMPLETE, 4, 2)
        answers = jobs.answers(job, updates)
        classes = [answer.error_class if answer else None for answer in answers]
        assert classes == [None, ErrorClass.MOVED, ErrorClass.LOCKED, None]
        assert dict(jobs.outcome_of(job)) == dict(zip(made, answers, strict=True))
        assert [kit.value(record, kit.phone) for record in made] == ["1", None, None, "1"]
        assert kit.value(made[0], kit.email) is None
        jobs.abort(job)

    def test_a_withdrawn_or_aborted_job_writes_nothing(self, kit: CrmKit) -> None:
        _, jobs = _jobs(kit)
        record = kit.add()
        job = jobs.create(kit.kind, [kit.phone])
        with pytest.raises(PassingError):
            jobs.upload(job, kit.kind, [Update(record, {kit.phone: "1"})], lambda: False)
        jobs.abort(job)
        jobs.abort(job)
        kit.settle()
        assert jobs.find(job).state is JobState.ABORTED
        with pytest.raises(PassingError):
            jobs.upload(job, kit.kind, [Update(record, {kit.phone: "1"})])
        kit.settle()
        assert kit.writes(record) == 0

    # -- ids, counts, end ----------------------------------------------------------------------------------------------

    def test_full_ids(self, kit: CrmKit) -> None:
        record, crm = kit.add(), kit.crm()
        assert crm.full_id(record) == record
        assert crm.full_id(f" {record}\n") == record
        assert crm.full_id("not an id") is None
        assert kit.requests() == 0

    def test_names_sizes_and_stored_forms(self, kit: CrmKit) -> None:
        crm = kit.crm()
        assert crm.name
        assert crm.label
        assert crm.read_size >= crm.write_size >= 1
        assert crm.stored(" Ada@Example.COM ", is_email=True) == "ada@example.com"
        assert crm.stored("  ") is None
        assert crm.written_time(datetime(2026, 11, 20, 10, tzinfo=UTC))

    def test_a_withdrawn_write_has_no_effect(self, kit: CrmKit) -> None:
        record, crm = kit.add(), kit.crm()
        with pytest.raises(PassingError):
            crm.update(kit.kind, [Update(record, {kit.phone: "1"})], lambda: False)
        assert kit.value(record, kit.phone) is None
        assert kit.writes(record) == 0

    def test_requests_are_counted_as_the_org_counts_them(self, kit: CrmKit) -> None:
        lead = kit.add()
        crm = kit.new_crm()
        assert crm.usage().daily_limit is None
        crm.login()
        crm.check_condition(kit.kind, kit.good)
        _ids(crm, Selection(kit.kind, ()))
        _one(crm, kit, lead, kit.email)
        crm.update(kit.kind, [Update(lead, {kit.phone: "1"})])
        usage = crm.usage()
        assert (usage.read_calls, usage.write_calls) == (2, 1)
        assert usage.read_calls + usage.write_calls + usage.other_calls == usage.daily_used == kit.requests()
        assert usage.daily_limit is not None
        assert kit.slept == []
        crm.close()
        crm.close()


def _jobs(kit: CrmKit) -> tuple[Crm, BulkApi]:
    crm = kit.crm()
    if crm.bulk is None:
        pytest.skip(f"{crm.label} has no jobs for many records")
    return crm, crm.bulk


def _ids(crm: Crm, selection: Selection) -> list[str]:
    return [record.id for page in crm.select(selection) for record in page]


def _one(crm: Crm, kit: CrmKit, record_id: str, *fields: str) -> CrmRecord:
    found = crm.read(kit.kind, [record_id], fields)[record_id]
    assert found is not None
    return found
