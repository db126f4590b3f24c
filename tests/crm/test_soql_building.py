"""The queries that are built, and that nothing an operator writes into `where` reaches beyond its parentheses."""

import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from org_harness import Harness, OrgHost

from connector.core.errors import ConfigurationError
from connector.crm.interface import Selection
from connector.crm.salesforce.ids import to_18
from connector.crm.salesforce.soql import IDS_PER_QUERY, PAGE, check_text, page_query
from connector.simulator.salesforce.gate import MAX_URI_AND_HEADERS

FLAGGED = ("Enrichment_Requested__c", True)
FIRST = "00QSm0000000001AAA"


@pytest.fixture(scope="module")
def host() -> Iterator[OrgHost]:
    with OrgHost() as host:
        yield host


@pytest.fixture
def harness(host: OrgHost) -> Harness:
    return host.fresh()


@pytest.mark.parametrize(
    ("selection", "after", "query"),
    [
        (Selection("Lead", ()), None, "SELECT Id, SystemModstamp FROM Lead ORDER BY Id ASC LIMIT 7"),
        (
            Selection("Lead", ("Email", "Id", "Email"), FLAGGED, ("IsConverted = false",)),
            None,
            "SELECT Id, SystemModstamp, Email FROM Lead WHERE Enrichment_Requested__c = true AND (IsConverted = false) "
            "ORDER BY Id ASC LIMIT 7",
        ),
        (
            Selection("Contact", (), ("DoNotCall", False), ("A = 1 OR B = 2", "C = 3"), newest_first=True),
            FIRST,
            "SELECT Id, SystemModstamp FROM Contact WHERE DoNotCall = false AND (A = 1 OR B = 2) AND (C = 3) "
            "AND Id < '00QSm0000000001AAA' ORDER BY Id DESC LIMIT 7",
        ),
        (
            Selection("Lead", (), ("Enrichment__c", "It's \\ asked")),
            FIRST,
            "SELECT Id, SystemModstamp FROM Lead WHERE Enrichment__c = 'It\\'s \\\\ asked' "
            "AND Id > '00QSm0000000001AAA' ORDER BY Id ASC LIMIT 7",
        ),
    ],
)
def test_a_page(selection: Selection, after: str | None, query: str) -> None:
    assert page_query(selection, after, 7) == query


def test_a_page_of_given_ids() -> None:
    query = page_query(Selection("Lead", ()), None, 7, (FIRST, "00QSm'; DELETE"))
    assert query.endswith(f"WHERE Id IN ('{FIRST}','00QSm\\'; DELETE') ORDER BY Id ASC LIMIT 7")


def test_the_largest_part_of_given_ids_fits_into_an_address(harness: Harness) -> None:
    harness.lead(DoNotCall=True)
    leads = harness.leads(IDS_PER_QUERY + 1)
    crm = harness.ready()
    selection = Selection("Lead", ("Email", "Enrichment_Error__c") * 10, FLAGGED, ids=tuple(leads), where=("A = 1",))
    assert len(page_query(selection, FIRST, PAGE, selection.ids)) < MAX_URI_AND_HEADERS
    pages = list(crm.select(Selection("Lead", ("Email",), ids=tuple(leads))))
    assert [len(page) for page in pages] == [IDS_PER_QUERY, 1]
    assert {status for _, status, _ in harness.site.log} == {200}


# -- conditions --------------------------------------------------------------------------------------------------

ESCAPES = [
    "IsConverted = false) OR (Id != null",
    "IsConverted = false) ORDER BY Id LIMIT 1 --",
    ")",
    "(",
    "((A = 1)",
    "(A = 1))",
    ") OR (A = 1",
    "LastName = 'O'Hara'",
    "LastName = 'it\\'",
    "LastName = 'x\\\\' OR Name = '",
    "LastName = 'a",
    "'",
    "LastName = '(' )",
    "",
    "   ",
    "\n",
]


def test_a_condition_that_would_escape_is_refused_before_it_is_sent(host: OrgHost, subtests: pytest.Subtests) -> None:
    for condition in ESCAPES:
        with subtests.test(condition=condition):
            harness = host.fresh()
            crm = harness.ready()
            with pytest.raises(ConfigurationError):
                crm.check_condition("Lead", condition)
            assert harness.arrivals == []


@pytest.mark.parametrize(
    "condition",
    [
        "IsConverted = false",
        "(IsConverted = false AND (Email = null OR Phone != null))",
        "LastName = 'O\\'Hara'",
        "LastName = ')'",
        "LastName = '(' OR LastName = 'a\\\\'",
        "LastName LIKE '%('",
        "LastName IN ('a', 'b')",
    ],
)
def test_a_sound_condition_is_tried_on_one_row(harness: Harness, condition: str) -> None:
    harness.leads(3)
    harness.ready().check_condition("Lead", condition)
    (entry,) = harness.site.log
    assert entry[:2] == ("query", 200)
    assert entry[2] <= 1


@pytest.mark.parametrize(
    ("condition", "word"),
    [
        ("Nonsense__c = 1", "Nonsense__c"),
        ("IsConverted =", "MALFORMED_QUERY"),
        ("IsConverted = false LIMIT 1", "MALFORMED_QUERY"),
        ("IsConverted = false ORDER BY Id", "MALFORMED_QUERY"),
        ("IsConverted = 'false'", "IsConverted"),
        ("Id = 'not an id'", "INVALID_QUERY_FILTER_OPERATOR"),
    ],
)
def test_what_salesforce_does_not_understand_is_told_in_its_words(harness: Harness, condition: str, word: str) -> None:
    crm = harness.ready()
    with pytest.raises(ConfigurationError, match=re.escape(word)):
        crm.check_condition("Lead", condition)
    assert harness.count("query") == 1


PIECES = ["'", "\\", "(", ")", "a", " OR ", "\\'", "''", "A = 1"]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_what_is_let_through_cannot_close_the_parenthesis_it_stands_in(condition: str) -> None:
    """Against a second reading of SOQL's rules: texts taken out, every prefix must keep its parentheses open."""
    try:
        check_text(condition)
    except ConfigurationError:
        return
    without_texts = re.sub(r"'(?:[^'\\]|\\.)*'", "", condition, flags=re.DOTALL)
    assert "'" not in without_texts
    depths = [without_texts[:end].count("(") - without_texts[:end].count(")") for end in range(len(without_texts) + 1)]
    assert min(depths) == 0
    assert depths[-1] == 0


# -- ids -----------------------------------------------------------------------------------------------------------


IDS: list[tuple[str, str | None]] = [
    ("001A0000006Vm9u", "001A0000006Vm9uIAC"),
    ("001A0000006Vm9uIAC", "001A0000006Vm9uIAC"),
    (" 001A0000006Vm9u\n", "001A0000006Vm9uIAC"),
    ("000000000000000", "000000000000000AAA"),
    ("AAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAA555"),
    ("aaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaAAA"),
    ("001A0000006Vm9uIAB", None),
    ("001a0000006vm9uIAC", None),
    ("001A0000006Vm9uiac", None),
    ("001A0000006Vm9", None),
    ("001A0000006Vm9uIA", None),
    ("001A0000006Vm9uIACX", None),
    ("001A0000006Vm9-", None),
    ("001A0000006Vm9é", None),
    ("", None),
]


def test_ids(host: OrgHost, subtests: pytest.Subtests) -> None:
    for given_id, full in IDS:
        with subtests.test(given_id=given_id, full=full):
            harness = host.fresh()
            assert to_18(given_id) == full
            assert harness.crm().full_id(given_id) == full


def test_ids_that_differ_in_case_alone_stay_two(harness: Harness) -> None:
    leads = harness.leads(62)
    folded = {lead[:15].lower() for lead in leads}
    assert len(folded) < len(leads), "the simulated org gives such ids"
    assert [to_18(lead[:15]) for lead in leads] == leads
    found = harness.ready().read("Lead", leads, ["Email"])
    assert list(found) == leads
    assert all(record is not None and record.id == lead for lead, record in found.items())
