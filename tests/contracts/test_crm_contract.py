"""The one suite that every CRM must pass, over HTTP against its simulated org.

What the engine relies on: every matching record comes exactly once whatever happens between pages; a read by id tells
where a person went; a write answers for each record in its place; and every request is counted.
"""

from collections.abc import Iterator

import pytest
from crm_kits import KITS, CrmHost, CrmKit

from connector.core.errors import ConfigurationError
from connector.core.model import CrmRecord
from connector.crm.interface import Crm, ErrorClass, Selection, Update


@pytest.fixture(scope="module")
def host() -> Iterator[CrmHost]:
    with CrmHost() as host:
        yield host


@pytest.fixture(params=KITS)
def kit(host: CrmHost, request: pytest.FixtureRequest) -> Iterator[CrmKit]:
    kit = KITS[request.param](host)
    yield kit
    kit.close()


@pytest.fixture
def small_pages(kit: CrmKit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of three records, so that a few records are several pages."""
    monkeypatch.setattr(*kit.page_size, 3)


def ids(crm: Crm, selection: Selection) -> list[str]:
    return [record.id for page in crm.select(selection) for record in page]


def one(crm: Crm, kit: CrmKit, record_id: str, *fields: str) -> CrmRecord:
    found = crm.read(kit.lead, [record_id], fields)[record_id]
    assert found is not None
    return found


# -- describing --------------------------------------------------------------------------------------------------


def test_an_object_is_described_once(kit: CrmKit) -> None:
    kit.restrict(kit.word, "Requested", "Done")
    crm = kit.crm()
    info = crm.describe(kit.lead)
    assert crm.describe(kit.lead) is info
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


def test_an_object_that_does_not_exist(kit: CrmKit) -> None:
    with pytest.raises(ConfigurationError, match="Nonsense__c"):
        kit.crm().describe("Nonsense__c")


def test_conditions(kit: CrmKit) -> None:
    crm = kit.crm()
    crm.check_condition(kit.lead, kit.good)
    assert kit.requests() == 1
    for condition in kit.bad:
        with pytest.raises(ConfigurationError):
            crm.check_condition(kit.lead, condition)
    assert kit.requests() == len(kit.bad)
    for condition in kit.escapes:
        with pytest.raises(ConfigurationError):
            crm.check_condition(kit.lead, condition)
    assert kit.requests() == 0


# -- selecting ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 6, 7])
@pytest.mark.parametrize("newest_first", [False, True])
def test_every_record_comes_once_in_order(kit: CrmKit, count: int, newest_first: bool) -> None:
    made = [kit.add() for _ in range(count)]
    crm = kit.crm()
    pages = list(crm.select(Selection(kit.lead, (kit.email,), newest_first=newest_first)))
    assert [record.id for page in pages for record in page] == (made[::-1] if newest_first else made)
    assert all(0 < len(page) <= 3 for page in pages)
    assert kit.requests() == count // 3 + 1


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize(("limit", "requests"), [(0, 0), (1, 1), (3, 1), (4, 2), (7, 3), (9, 3), (50, 3)])
@pytest.mark.parametrize("newest_first", [False, True])
def test_a_limit(kit: CrmKit, limit: int, requests: int, newest_first: bool) -> None:
    made = [kit.add() for _ in range(8)]
    crm = kit.crm()
    found = ids(crm, Selection(kit.lead, (), newest_first=newest_first, limit=limit))
    assert found == (made[::-1] if newest_first else made)[:limit]
    assert kit.requests() == requests


def test_flags_of_both_kinds_conditions_and_ids_narrow_together(kit: CrmKit) -> None:
    word = "Don't \\ know"
    both = kit.add(**{kit.flag: True, kit.word: word, kit.phone: "1"})
    flagged = kit.add(**{kit.flag: True, kit.phone: "2"})
    kit.add(**{kit.phone: "1"})
    crm = kit.crm()
    assert ids(crm, Selection(kit.lead, (), flag=(kit.flag, True))) == [both, flagged]
    assert ids(crm, Selection(kit.lead, (), flag=(kit.word, word))) == [both]
    by_phone = f"{kit.phone} = '1' OR {kit.phone} = '3'"
    assert ids(crm, Selection(kit.lead, (), flag=(kit.flag, True), where=(by_phone,))) == [both]
    assert ids(crm, Selection(kit.lead, (), flag=(kit.flag, True), ids=(flagged,))) == [flagged]
    assert ids(crm, Selection(kit.lead, (), where=(by_phone, kit.good), ids=(flagged,))) == []
    assert ids(crm, Selection(kit.lead, (), ids=())) == []


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("newest_first", [False, True])
def test_given_ids_come_once_each_in_the_order_asked_for(
    kit: CrmKit, monkeypatch: pytest.MonkeyPatch, newest_first: bool
) -> None:
    monkeypatch.setattr(*kit.ids_size, 4)
    made = [kit.add() for _ in range(10)]
    kit.add()
    wanted = (*made[5:], *made[:7])  # some of them twice
    found = ids(kit.crm(), Selection(kit.lead, (), ids=wanted, newest_first=newest_first, limit=9))
    assert found == (made[::-1] if newest_first else made)[:9]


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("newest_first", [False, True])
def test_records_that_appear_and_vanish_between_pages(kit: CrmKit, newest_first: bool) -> None:
    made = [kit.add(**{kit.flag: True}) for _ in range(9)]
    order = made[::-1] if newest_first else made
    crm = kit.crm()
    seen: list[str] = []
    later: list[str] = []
    for number, page in enumerate(crm.select(Selection(kit.lead, (), (kit.flag, True), newest_first=newest_first))):
        seen += [record.id for record in page]
        if number == 0:
            kit.delete(order[1])  # one that was read
            kit.delete(order[4])  # one that was not
            kit.edit(order[2], **{kit.flag: False})
            kit.edit(order[5], **{kit.flag: False})
            later.append(kit.add(**{kit.flag: True}))
    expected = [*order[:3], order[3], *order[6:]]
    assert seen == (expected if newest_first else [*expected, *later])


def test_selected_records_carry_their_fields_and_a_version(kit: CrmKit) -> None:
    lead = kit.add(**{kit.email: "ada@example.com"})
    crm = kit.crm()
    selection = Selection(kit.lead, (kit.email, kit.phone, kit.flag))
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


def test_a_read_is_one_request_and_answers_for_every_id(kit: CrmKit) -> None:
    made = [kit.add(**{kit.phone: str(number)}) for number in range(5)]
    crm = kit.crm()
    crm.describe(kit.lead)
    kit.requests()
    found = crm.read(kit.lead, made[::-1], [kit.phone])
    assert kit.requests() == 1
    assert list(found) == made[::-1]
    assert [record.values[kit.phone] if record else None for record in found.values()] == ["4", "3", "2", "1", "0"]
    assert crm.read_size >= 200


def test_what_became_of_records_that_are_gone(kit: CrmKit) -> None:
    here, deleted, winner, loser, converted = (kit.add() for _ in range(5))
    never = here[:14] + ("z" if here[14] != "z" else "y")
    crm = kit.crm()
    unknown = crm.full_id(never)
    assert unknown is not None
    kit.delete(deleted)
    kit.merge(winner, loser)
    contact = kit.convert(converted)
    found = crm.read(kit.lead, [unknown, deleted, here, loser, winner, converted], [kit.email])
    moved = {record_id: record.moved_to if record else "gone" for record_id, record in found.items()}
    assert moved == {
        unknown: "gone",
        deleted: "gone",
        here: None,
        loser: (kit.lead, winner),
        winner: None,
        converted: (kit.contact, contact),
    }
    assert {record.id for record in found.values() if record} == {here, loser, winner, converted}


def test_a_record_of_another_kind_is_not_there(kit: CrmKit) -> None:
    contact = kit.convert(kit.add())
    assert kit.crm().read(kit.lead, [contact], [kit.email]) == {contact: None}


def test_many_gone_records_are_followed_in_parts(kit: CrmKit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*kit.ids_size, 2)
    winner = kit.add()
    losers = [kit.add() for _ in range(5)]
    for loser in losers:
        kit.merge(winner, loser)
    found = kit.crm().read(kit.lead, losers, [kit.email])
    assert [record.moved_to if record else None for record in found.values()] == [(kit.lead, winner)] * 5


# -- writing -----------------------------------------------------------------------------------------------------


def test_a_full_collection_is_one_request(kit: CrmKit) -> None:
    crm = kit.crm()
    made = [kit.add() for _ in range(crm.write_size)]
    answers = crm.update(kit.lead, [Update(lead, {kit.phone: lead}) for lead in made])
    assert answers == [None] * len(made)
    assert kit.requests() == 1
    assert all(kit.value(lead, kit.phone) == lead for lead in made)
    assert {kit.writes(lead) for lead in made} == {1}


def test_answers_stand_in_the_place_of_their_records(kit: CrmKit) -> None:
    made = [kit.add() for _ in range(6)]
    kit.delete(made[1])
    kit.reject(made[3], kit.troubles[ErrorClass.ROW], kit.email)
    kit.reject(made[5], kit.troubles[ErrorClass.LOCKED])
    answers = kit.crm().update(kit.lead, [Update(lead, {kit.phone: "1"}) for lead in made])
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
def test_each_class_of_refused_rows(kit: CrmKit, error_class: ErrorClass) -> None:
    lead, code = kit.add(), kit.troubles[error_class]
    kit.reject(lead, code, kit.email)
    (answer,) = kit.crm().update(kit.lead, [Update(lead, {kit.phone: "1"})])
    assert answer is not None
    assert (answer.error_class, answer.code, answer.fields) == (error_class, code, (kit.email,))
    assert "ada@example.com" not in repr(answer)


def test_values_of_every_kind_can_be_written_and_cleared(kit: CrmKit) -> None:
    lead = kit.add(**{kit.phone: "1", kit.flag: True})
    crm = kit.crm()
    values = {kit.phone: None, kit.flag: False, kit.email: "ada@example.com", kit.word: "Don't \\ know"}
    assert crm.update(kit.lead, [Update(lead, values)]) == [None]
    assert {name: kit.value(lead, name) for name in values} == values
    found = one(crm, kit, lead, *values)
    assert {name: found.values[name] for name in values} == values


def test_a_repeated_write_changes_nothing_more(kit: CrmKit) -> None:
    lead = kit.add()
    crm = kit.crm()
    for _ in range(2):
        assert crm.update(kit.lead, [Update(lead, {kit.phone: "1"})]) == [None]
    assert kit.value(lead, kit.phone) == "1"


# -- ids, counts, end ----------------------------------------------------------------------------------------------


def test_ids_in_full(kit: CrmKit) -> None:
    lead, crm = kit.add(), kit.crm()
    assert crm.full_id(lead) == lead
    assert crm.full_id(f" {lead[:15]}\n") == lead
    assert crm.full_id("not an id") is None
    assert kit.requests() == 0


def test_what_was_asked_is_counted_as_the_org_counts_it(kit: CrmKit) -> None:
    lead = kit.add()
    crm = kit.new_crm()
    assert crm.usage().daily_limit is None
    crm.login()
    crm.check_condition(kit.lead, kit.good)
    ids(crm, Selection(kit.lead, ()))
    one(crm, kit, lead, kit.email)
    crm.update(kit.lead, [Update(lead, {kit.phone: "1"})])
    usage = crm.usage()
    assert (usage.read_calls, usage.write_calls) == (2, 1)
    assert usage.read_calls + usage.write_calls + usage.other_calls == usage.daily_used == kit.requests()
    assert usage.daily_limit is not None
    assert kit.slept == []
    crm.close()
    crm.close()
