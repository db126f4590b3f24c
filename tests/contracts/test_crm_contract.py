"""The one suite that every CRM must pass, over HTTP against its simulated org.

What the engine relies on: every matching record comes exactly once whatever happens between pages; a read by id tells
where a person went; a write answers for each record in its place; and every request is counted.
"""

from collections.abc import Iterator

import pytest
from crm_benches import BENCHES, CrmBench, CrmHost

from connector.core.errors import ConfigurationError
from connector.core.model import CrmRecord
from connector.crm.interface import Crm, ErrorClass, Selection, Update


@pytest.fixture(scope="module")
def host() -> Iterator[CrmHost]:
    with CrmHost() as host:
        yield host


@pytest.fixture(params=BENCHES)
def bench(host: CrmHost, request: pytest.FixtureRequest) -> Iterator[CrmBench]:
    bench = BENCHES[request.param](host)
    yield bench
    bench.close()


@pytest.fixture
def small_pages(bench: CrmBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of three records, so that a few records are several pages."""
    monkeypatch.setattr(*bench.page_size, 3)


def ids(crm: Crm, selection: Selection) -> list[str]:
    return [record.id for page in crm.select(selection) for record in page]


def one(crm: Crm, bench: CrmBench, record_id: str, *fields: str) -> CrmRecord:
    found = crm.read(bench.lead, [record_id], fields)[record_id]
    assert found is not None
    return found


# -- describing --------------------------------------------------------------------------------------------------


def test_an_object_is_described_once(bench: CrmBench) -> None:
    bench.restrict(bench.word, "Requested", "Done")
    crm = bench.crm()
    info = crm.describe(bench.lead)
    assert crm.describe(bench.lead) is info
    assert bench.requests() == 1
    email, flag, word = (info.get(name) for name in (bench.email, bench.flag.upper(), bench.word.lower()))
    assert email is not None
    assert flag is not None
    assert word is not None
    assert (email.name, email.length > 0, email.updateable, email.filterable) == (bench.email, True, True, True)
    assert (flag.length, flag.allowed) == (0, None)
    assert word.allowed == frozenset({"Requested", "Done"})
    assert email.allowed is None
    assert info.get("Nonsense__c") is None
    assert info.lengths()[bench.email] == email.length
    assert bench.flag not in info.lengths()


def test_an_object_that_does_not_exist(bench: CrmBench) -> None:
    with pytest.raises(ConfigurationError, match="Nonsense__c"):
        bench.crm().describe("Nonsense__c")


def test_conditions(bench: CrmBench) -> None:
    crm = bench.crm()
    crm.check_condition(bench.lead, bench.good)
    assert bench.requests() == 1
    for condition in bench.bad:
        with pytest.raises(ConfigurationError):
            crm.check_condition(bench.lead, condition)
    assert bench.requests() == len(bench.bad)
    for condition in bench.escapes:
        with pytest.raises(ConfigurationError):
            crm.check_condition(bench.lead, condition)
    assert bench.requests() == 0


# -- selecting ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 6, 7])
@pytest.mark.parametrize("newest_first", [False, True])
def test_every_record_comes_once_in_order(bench: CrmBench, count: int, newest_first: bool) -> None:
    made = [bench.add() for _ in range(count)]
    crm = bench.crm()
    pages = list(crm.select(Selection(bench.lead, (bench.email,), newest_first=newest_first)))
    assert [record.id for page in pages for record in page] == (made[::-1] if newest_first else made)
    assert all(0 < len(page) <= 3 for page in pages)
    assert bench.requests() == count // 3 + 1


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize(("limit", "requests"), [(0, 0), (1, 1), (3, 1), (4, 2), (7, 3), (9, 3), (50, 3)])
@pytest.mark.parametrize("newest_first", [False, True])
def test_a_limit(bench: CrmBench, limit: int, requests: int, newest_first: bool) -> None:
    made = [bench.add() for _ in range(8)]
    crm = bench.crm()
    found = ids(crm, Selection(bench.lead, (), newest_first=newest_first, limit=limit))
    assert found == (made[::-1] if newest_first else made)[:limit]
    assert bench.requests() == requests


def test_flags_of_both_kinds_conditions_and_ids_narrow_together(bench: CrmBench) -> None:
    word = "Don't \\ know"
    both = bench.add(**{bench.flag: True, bench.word: word, bench.phone: "1"})
    flagged = bench.add(**{bench.flag: True, bench.phone: "2"})
    bench.add(**{bench.phone: "1"})
    crm = bench.crm()
    assert ids(crm, Selection(bench.lead, (), flag=(bench.flag, True))) == [both, flagged]
    assert ids(crm, Selection(bench.lead, (), flag=(bench.word, word))) == [both]
    by_phone = f"{bench.phone} = '1' OR {bench.phone} = '3'"
    assert ids(crm, Selection(bench.lead, (), flag=(bench.flag, True), where=(by_phone,))) == [both]
    assert ids(crm, Selection(bench.lead, (), flag=(bench.flag, True), ids=(flagged,))) == [flagged]
    assert ids(crm, Selection(bench.lead, (), where=(by_phone, bench.good), ids=(flagged,))) == []
    assert ids(crm, Selection(bench.lead, (), ids=())) == []


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("newest_first", [False, True])
def test_given_ids_come_once_each_in_the_order_asked_for(
    bench: CrmBench, monkeypatch: pytest.MonkeyPatch, newest_first: bool
) -> None:
    monkeypatch.setattr(*bench.ids_size, 4)
    made = [bench.add() for _ in range(10)]
    bench.add()
    wanted = (*made[5:], *made[:7])  # some of them twice
    found = ids(bench.crm(), Selection(bench.lead, (), ids=wanted, newest_first=newest_first, limit=9))
    assert found == (made[::-1] if newest_first else made)[:9]


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("newest_first", [False, True])
def test_records_that_appear_and_vanish_between_pages(bench: CrmBench, newest_first: bool) -> None:
    made = [bench.add(**{bench.flag: True}) for _ in range(9)]
    order = made[::-1] if newest_first else made
    crm = bench.crm()
    seen: list[str] = []
    later: list[str] = []
    for number, page in enumerate(crm.select(Selection(bench.lead, (), (bench.flag, True), newest_first=newest_first))):
        seen += [record.id for record in page]
        if number == 0:
            bench.delete(order[1])  # one that was read
            bench.delete(order[4])  # one that was not
            bench.edit(order[2], **{bench.flag: False})
            bench.edit(order[5], **{bench.flag: False})
            later.append(bench.add(**{bench.flag: True}))
    expected = [*order[:3], order[3], *order[6:]]
    assert seen == (expected if newest_first else [*expected, *later])


def test_selected_records_carry_their_fields_and_a_version(bench: CrmBench) -> None:
    lead = bench.add(**{bench.email: "ada@example.com"})
    crm = bench.crm()
    selection = Selection(bench.lead, (bench.email, bench.phone, bench.flag))
    (before,) = next(crm.select(selection))
    values = {bench.email: "ada@example.com", bench.phone: None, bench.flag: False}
    assert {name: before.values[name] for name in values} == values
    assert before.version
    assert (before.id, before.moved_to) == (lead, None)
    (again,) = next(crm.select(selection))
    assert again == before
    bench.edit(lead, **{bench.phone: "1"})
    (after,) = next(crm.select(selection))
    assert after.version != before.version


# -- reading by id -----------------------------------------------------------------------------------------------


def test_a_read_is_one_request_and_answers_for_every_id(bench: CrmBench) -> None:
    made = [bench.add(**{bench.phone: str(number)}) for number in range(5)]
    crm = bench.crm()
    crm.describe(bench.lead)
    bench.requests()
    found = crm.read(bench.lead, made[::-1], [bench.phone])
    assert bench.requests() == 1
    assert list(found) == made[::-1]
    assert [record.values[bench.phone] if record else None for record in found.values()] == ["4", "3", "2", "1", "0"]
    assert crm.read_size >= 200


def test_what_became_of_records_that_are_gone(bench: CrmBench) -> None:
    here, deleted, winner, loser, converted = (bench.add() for _ in range(5))
    never = here[:14] + ("z" if here[14] != "z" else "y")
    crm = bench.crm()
    unknown = crm.full_id(never)
    assert unknown is not None
    bench.delete(deleted)
    bench.merge(winner, loser)
    contact = bench.convert(converted)
    found = crm.read(bench.lead, [unknown, deleted, here, loser, winner, converted], [bench.email])
    moved = {record_id: record.moved_to if record else "gone" for record_id, record in found.items()}
    assert moved == {
        unknown: "gone",
        deleted: "gone",
        here: None,
        loser: (bench.lead, winner),
        winner: None,
        converted: (bench.contact, contact),
    }
    assert {record.id for record in found.values() if record} == {here, loser, winner, converted}


def test_a_record_of_another_kind_is_not_there(bench: CrmBench) -> None:
    contact = bench.convert(bench.add())
    assert bench.crm().read(bench.lead, [contact], [bench.email]) == {contact: None}


def test_many_gone_records_are_followed_in_parts(bench: CrmBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*bench.ids_size, 2)
    winner = bench.add()
    losers = [bench.add() for _ in range(5)]
    for loser in losers:
        bench.merge(winner, loser)
    found = bench.crm().read(bench.lead, losers, [bench.email])
    assert [record.moved_to if record else None for record in found.values()] == [(bench.lead, winner)] * 5


# -- writing -----------------------------------------------------------------------------------------------------


def test_a_full_collection_is_one_request(bench: CrmBench) -> None:
    crm = bench.crm()
    made = [bench.add() for _ in range(crm.write_size)]
    answers = crm.update(bench.lead, [Update(lead, {bench.phone: lead}) for lead in made])
    assert answers == [None] * len(made)
    assert bench.requests() == 1
    assert all(bench.value(lead, bench.phone) == lead for lead in made)
    assert {bench.writes(lead) for lead in made} == {1}


def test_answers_stand_in_the_place_of_their_records(bench: CrmBench) -> None:
    made = [bench.add() for _ in range(6)]
    bench.delete(made[1])
    bench.reject(made[3], bench.troubles[ErrorClass.ROW], bench.email)
    bench.reject(made[5], bench.troubles[ErrorClass.LOCKED])
    answers = bench.crm().update(bench.lead, [Update(lead, {bench.phone: "1"}) for lead in made])
    assert [answer.error_class if answer else None for answer in answers] == [
        None,
        ErrorClass.MOVED,
        None,
        ErrorClass.ROW,
        None,
        ErrorClass.LOCKED,
    ]
    assert answers[3] is not None
    assert (answers[3].code, answers[3].fields) == (bench.troubles[ErrorClass.ROW], (bench.email,))
    assert [bench.writes(lead) for lead in made] == [1, 0, 1, 0, 1, 0]


@pytest.mark.parametrize("error_class", ErrorClass)
def test_each_class_of_refused_rows(bench: CrmBench, error_class: ErrorClass) -> None:
    lead, code = bench.add(), bench.troubles[error_class]
    bench.reject(lead, code, bench.email)
    (answer,) = bench.crm().update(bench.lead, [Update(lead, {bench.phone: "1"})])
    assert answer is not None
    assert (answer.error_class, answer.code, answer.fields) == (error_class, code, (bench.email,))
    assert "ada@example.com" not in repr(answer)


def test_values_of_every_kind_can_be_written_and_cleared(bench: CrmBench) -> None:
    lead = bench.add(**{bench.phone: "1", bench.flag: True})
    crm = bench.crm()
    values = {bench.phone: None, bench.flag: False, bench.email: "ada@example.com", bench.word: "Don't \\ know"}
    assert crm.update(bench.lead, [Update(lead, values)]) == [None]
    assert {name: bench.value(lead, name) for name in values} == values
    found = one(crm, bench, lead, *values)
    assert {name: found.values[name] for name in values} == values


def test_a_repeated_write_changes_nothing_more(bench: CrmBench) -> None:
    lead = bench.add()
    crm = bench.crm()
    for _ in range(2):
        assert crm.update(bench.lead, [Update(lead, {bench.phone: "1"})]) == [None]
    assert bench.value(lead, bench.phone) == "1"


# -- ids, counts, end ----------------------------------------------------------------------------------------------


def test_ids_in_full(bench: CrmBench) -> None:
    lead, crm = bench.add(), bench.crm()
    assert crm.full_id(lead) == lead
    assert crm.full_id(f" {lead[:15]}\n") == lead
    assert crm.full_id("not an id") is None
    assert bench.requests() == 0


def test_what_was_asked_is_counted_as_the_org_counts_it(bench: CrmBench) -> None:
    lead = bench.add()
    crm = bench.new_crm()
    assert crm.usage().daily_limit is None
    crm.login()
    crm.check_condition(bench.lead, bench.good)
    ids(crm, Selection(bench.lead, ()))
    one(crm, bench, lead, bench.email)
    crm.update(bench.lead, [Update(lead, {bench.phone: "1"})])
    usage = crm.usage()
    assert (usage.read_calls, usage.write_calls) == (2, 1)
    assert usage.read_calls + usage.write_calls + usage.other_calls == usage.daily_used == bench.requests()
    assert usage.daily_limit is not None
    assert bench.slept == []
    crm.close()
    crm.close()
