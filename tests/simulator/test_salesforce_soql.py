"""SOQL as documented: a table of queries over a handful of Leads, and a table of refusals."""

import pytest

from connector.simulator.clock import SimClock
from connector.simulator.salesforce import Field, Org
from connector.simulator.salesforce.errors import ApiError
from connector.simulator.salesforce.ids import to_18
from connector.simulator.salesforce.query import run

NOW = 1_795_168_800.0  # Friday 2026-11-20T10:00:00Z

LEADS: list[dict[str, object]] = [
    {"LastName": "Adeyemi", "FirstName": "Ngozi", "Email": "ngozi@example.com", "CreatedDate": "2026-11-20T09:00:00Z"},
    {"LastName": "brandt", "FirstName": "Ute", "Title": "100%_sure", "CreatedDate": "2026-11-19T23:59:59Z"},
    {"LastName": "Castro", "Email": "castro@example.com", "DoNotCall": True, "CreatedDate": "2026-11-01T00:00:00Z"},
    {"LastName": "O'Brien", "Title": "Head\\Chief", "Score__c": 7, "CreatedDate": "2026-10-31T23:59:59Z"},
    {"LastName": "Zhou", "FirstName": "Li", "Score__c": 40, "CreatedDate": "2025-12-31T12:00:00Z"},
]


@pytest.fixture(scope="module")
def org() -> Org:
    org = Org(SimClock(source=lambda: NOW))
    org.add_field("Lead", Field("Score__c", "double"))
    org.add_field("Lead", Field("Notes__c", "textarea", 32_000))
    for lead in LEADS:
        org.insert("Lead", {"Company": "Example Ltd", **lead})
    return org


def names(org: Org, rest: str, *, include_deleted: bool = False) -> str:
    """The first letters of the last names in the result, in order."""
    found = run(org, " ".join(("SELECT LastName FROM Lead", rest)), include_deleted=include_deleted)
    assert found.total == len(found.rows)
    return "".join(str(row["LastName"])[0] for row in found.rows)


FOUND: list[tuple[str, str]] = [
    ("", "AbCOZ"),
    # strings: any case, escapes, null
    ("WHERE LastName = 'ADEYEMI'", "A"),
    ("WHERE LastName != 'adeyemi'", "bCOZ"),
    ("WHERE LastName <> 'adeyemi'", "bCOZ"),
    ("WHERE lastname > 'brandt'", "COZ"),
    ("WHERE LastName >= 'BRANDT' AND LastName < 'o'", "bC"),
    ("WHERE LastName <= 'castro'", "AbC"),
    (r"WHERE LastName = 'O\'Brien'", "O"),
    (r"WHERE Title = 'Head\\Chief'", "O"),
    (r"WHERE LastName = '\u005Ahou'", "Z"),
    ("WHERE Email = null", "bOZ"),
    ("WHERE Email = ''", "bOZ"),
    ("WHERE Email != NULL", "AC"),
    ("WHERE Email != 'ngozi@example.com'", "bCOZ"),
    ("WHERE Email > 'a'", "AC"),
    # LIKE
    ("WHERE LastName LIKE '%o%'", "COZ"),
    ("WHERE LastName LIKE 'z_ou'", "Z"),
    ("WHERE LastName LIKE 'z_u'", ""),
    (r"WHERE Title LIKE '100\%\_%'", "b"),
    (r"WHERE Title LIKE '100\_%'", ""),
    ("WHERE (NOT Email LIKE '%@example.com')", "bOZ"),
    # lists
    ("WHERE LastName IN ('zhou', 'Castro', 'nobody')", "CZ"),
    ("WHERE LastName NOT IN ('zhou', 'Castro')", "AbO"),
    ("WHERE Email IN ('castro@example.com', null)", "bCOZ"),
    ("WHERE Email NOT IN ('castro@example.com')", "AbOZ"),
    # checkboxes and numbers
    ("WHERE DoNotCall = true", "C"),
    ("WHERE DoNotCall != TRUE", "AbOZ"),
    ("WHERE DoNotCall = null", "AbOZ"),
    ("WHERE DoNotCall IN (true, false)", "AbCOZ"),
    ("WHERE Score__c >= 7", "OZ"),
    ("WHERE Score__c < 7.5", "O"),
    ("WHERE Score__c = 40", "Z"),
    ("WHERE Score__c > -1 AND Score__c <= +40.0", "OZ"),
    # nesting
    ("WHERE DoNotCall = true OR (Email = null AND Score__c = null)", "bC"),
    ("WHERE (DoNotCall = true OR Email = null) AND Score__c = null", "bC"),
    ("WHERE ((DoNotCall = true OR Email = null) AND (Score__c = null OR Score__c > 10))", "bCZ"),
    ("WHERE NOT DoNotCall = true", "AbOZ"),
    ("WHERE NOT (Email = null OR DoNotCall = true)", "A"),
    ("WHERE Email != null AND (NOT DoNotCall = true)", "A"),
    # times
    ("WHERE CreatedDate >= 2026-11-20T09:00:00Z", "A"),
    ("WHERE CreatedDate > 2026-11-20T09:00:00Z", ""),
    ("WHERE CreatedDate = 2026-11-20T10:00:00.999+01:00", "A"),
    ("WHERE CreatedDate < 2026-11-01T00:00:00+0000", "OZ"),
    # date ranges
    ("WHERE CreatedDate = TODAY", "A"),
    ("WHERE CreatedDate = yesterday", "b"),
    ("WHERE CreatedDate != TODAY", "bCOZ"),
    ("WHERE CreatedDate < TODAY", "bCOZ"),
    ("WHERE CreatedDate <= YESTERDAY", "bCOZ"),
    ("WHERE CreatedDate > YESTERDAY", "A"),
    ("WHERE CreatedDate >= YESTERDAY", "Ab"),
    ("WHERE CreatedDate = LAST_N_DAYS:1", "Ab"),
    ("WHERE CreatedDate = N_DAYS_AGO:1", "b"),
    ("WHERE CreatedDate = THIS_WEEK", "Ab"),
    ("WHERE CreatedDate = THIS_MONTH", "AbC"),
    ("WHERE CreatedDate = LAST_MONTH", "O"),
    ("WHERE CreatedDate = LAST_N_MONTHS:1", "O"),
    ("WHERE CreatedDate = THIS_QUARTER", "AbCO"),
    ("WHERE CreatedDate = LAST_YEAR", "Z"),
    ("WHERE CreatedDate IN (TODAY, LAST_YEAR)", "AZ"),
    ("WHERE CreatedDate = NEXT_N_DAYS:3", ""),
    ("WHERE CreatedDate = LAST_90_DAYS", "AbCO"),
    # order, limit, offset
    ("ORDER BY LastName DESC", "ZOCbA"),
    ("ORDER BY Email", "bOZCA"),
    ("ORDER BY Email DESC", "bOZAC"),
    ("ORDER BY Email NULLS LAST", "CAbOZ"),
    ("ORDER BY Score__c DESC NULLS LAST, LastName ASC NULLS FIRST", "ZOAbC"),
    ("ORDER BY DoNotCall DESC, CreatedDate", "CZObA"),
    ("ORDER BY LastName LIMIT 2", "Ab"),
    ("ORDER BY LastName LIMIT 2 OFFSET 3", "OZ"),
    ("order by lastname desc limit 1 offset 4", "A"),
    ("LIMIT 0", ""),
]


def test_a_query_finds(org: Org) -> None:
    wrong = [(rest, expected, got) for rest, expected in FOUND if (got := names(org, rest)) != expected]
    assert wrong == []


def test_ids_compare_with_case_and_in_both_forms(org: Org) -> None:
    ids = [str(row["Id"]) for row in org.records("Lead")]
    assert names(org, f"WHERE Id = '{ids[2]}'") == "C"
    assert names(org, f"WHERE Id IN ('{ids[2][:15]}', '{ids[0]}')") == "AC"
    assert names(org, f"WHERE Id > '{ids[2]}' ORDER BY Id LIMIT 2000") == "OZ"
    assert names(org, f"WHERE Id > '{ids[2][:15]}' ORDER BY Id DESC") == "ZO"
    assert names(org, f"WHERE Id = '{ids[2].swapcase()}'") == ""
    assert names(org, "WHERE Id > '000000000000000'") == "AbCOZ"


def test_ids_increase_across_capitals_and_small_letters() -> None:
    org = Org(SimClock(source=lambda: NOW))
    ids = [org.insert("Contact", {"LastName": f"Person {n}"}) for n in range(4_000)]
    assert ids == sorted(ids, key=lambda record_id: record_id[:15])
    assert len({record_id[:15].lower() for record_id in ids}) < len(ids)


def test_only_query_all_finds_deleted_records() -> None:
    org = Org(SimClock(source=lambda: NOW))
    winner, loser = (org.insert("Lead", {"LastName": name, "Company": "Example Ltd"}) for name in ("Winner", "Loser"))
    org.merge("Lead", winner, loser)
    assert names(org, "") == "W"
    assert names(org, "WHERE IsDeleted = true") == ""
    assert names(org, f"WHERE MasterRecordId = '{winner}'", include_deleted=True) == "L"


def test_count_returns_a_number_without_rows(org: Org) -> None:
    found = run(org, "SELECT COUNT() FROM Lead WHERE Email != null", include_deleted=False)
    assert (found.total, found.rows) == (2, ())


def test_field_names_are_returned_in_their_own_spelling(org: Org) -> None:
    columns = run(org, "select ID, lastNAME from lead", include_deleted=False).columns
    assert [column.path for column in columns] == ["Id", "LastName"]


REFUSED: list[tuple[str, str, str]] = [
    ("SELECT Nope FROM Lead", "INVALID_FIELD", "Row:1:Column:8\nNo such column 'Nope' on entity 'Lead'. If"),
    ("SELECT Id FROM Lead WHERE Nope = 1", "INVALID_FIELD", "No such column 'Nope' on entity 'Lead'"),
    ("SELECT Id FROM Lead ORDER BY Nope", "INVALID_FIELD", "No such column 'Nope' on entity 'Lead'"),
    ("SELECT Id\nFROM Leed", "INVALID_TYPE", "Row:2:Column:6\nsObject type 'Leed' is not supported."),
    ("SELECT Id FROM Lead WHERE", "MALFORMED_QUERY", "unexpected token: '<EOF>'"),
    ("SELECT FROM Lead", "MALFORMED_QUERY", "unexpected token: 'Lead'"),
    ("SELECT Id Name FROM Lead", "MALFORMED_QUERY", "unexpected token: 'Name'"),
    ("SELECT Id, Id FROM Lead", "MALFORMED_QUERY", "duplicate field selected: Id"),
    ('SELECT Id FROM Lead WHERE Name = "x"', "MALFORMED_QUERY", "unexpected token: '\"'"),
    ("SELECT Id FROM Lead WHERE Name = 'x", "MALFORMED_QUERY", "unexpected token"),
    ("SELECT Id FROM Lead WHERE Name 'x'", "MALFORMED_QUERY", "unexpected token"),
    ("SELECT Id FROM Lead WHERE (Name = 'x'", "MALFORMED_QUERY", "unexpected token: '<EOF>'"),
    ("SELECT Id FROM Lead WHERE Name IN ()", "MALFORMED_QUERY", "unexpected token: ')'"),
    (r"SELECT Id FROM Lead WHERE Name = '\q'", "MALFORMED_QUERY", r"Illegal character sequence '\q'"),
    # AND and OR need parentheses; NOT must be alone
    (
        "SELECT Id FROM Lead WHERE Email = null AND DoNotCall = true OR Name = 'x'",
        "MALFORMED_QUERY",
        "unexpected token: 'OR'",
    ),
    (
        "SELECT Id FROM Lead WHERE Email = null OR DoNotCall = true AND Name = 'x'",
        "MALFORMED_QUERY",
        "unexpected token: 'AND'",
    ),
    ("SELECT Id FROM Lead WHERE Email = null AND NOT (Name = 'x')", "MALFORMED_QUERY", "unexpected token: 'NOT'"),
    ("SELECT Id FROM Lead WHERE NOT Email = null AND Name = 'x'", "MALFORMED_QUERY", "unexpected token: 'AND'"),
    # invalid values
    ("SELECT Id FROM Lead WHERE Email = 5", "INVALID_FIELD", "must be of type string and should be enclosed"),
    ("SELECT Id FROM Lead WHERE DoNotCall = 'true'", "INVALID_FIELD", "of type boolean and should not be enclosed"),
    ("SELECT Id FROM Lead WHERE CreatedDate > '2026-11-20T00:00:00Z'", "INVALID_FIELD", "of type dateTime and"),
    ("SELECT Id FROM Lead WHERE CreatedDate > 2026-11-20", "INVALID_FIELD", "must be of type dateTime"),
    ("SELECT Id FROM Lead WHERE CreatedDate > SOMEDAY", "MALFORMED_QUERY", "unexpected token: 'SOMEDAY'"),
    ("SELECT Id FROM Lead WHERE Id = 'abc'", "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: abc"),
    ("SELECT Id FROM Lead WHERE Id LIKE '00Q%'", "INVALID_QUERY_FILTER_OPERATOR", "invalid operator on id field"),
    ("SELECT Id FROM Lead WHERE DoNotCall > false", "INVALID_FIELD", "invalid operator on boolean field"),
    ("SELECT Id FROM Lead WHERE Notes__c = 'x'", "INVALID_FIELD", "can not be filtered in a query call"),
    # limits
    ("SELECT Id FROM Lead LIMIT x", "MALFORMED_QUERY", "unexpected token: 'x'"),
    (
        "SELECT Id FROM Lead LIMIT 1 OFFSET 2001",
        "NUMBER_OUTSIDE_VALID_RANGE",
        "Maximum SOQL offset allowed is 2000",
    ),
    ("SELECT Id FROM Lead WHERE Name = '" + "x" * 4_001 + "'", "MALFORMED_QUERY", "4,000 characters"),
    ("SELECT Id FROM Lead" + " " * 100_000, "MALFORMED_QUERY", "100,000 characters"),
]


def test_a_query_is_refused(org: Org, subtests: pytest.Subtests) -> None:
    for query, code, words in REFUSED:
        with subtests.test(query=query, code=code, words=words):
            with pytest.raises(ApiError) as caught:
                run(org, query, include_deleted=False)
            assert (caught.value.status, caught.value.problem.code) == (400, code)
            assert words in caught.value.problem.message


def test_the_error_text_shows_the_position() -> None:
    with pytest.raises(ApiError) as caught:
        run(Org(SimClock()), "SELECT Id, Nope FROM Lead", include_deleted=False)
    assert caught.value.problem.message.startswith(
        "\nSELECT Id, Nope FROM Lead\n           ^\nERROR at Row:1:Column:12\nNo such column 'Nope'"
    )


BEYOND: list[str] = [
    "SELECT ConvertedOpportunity.Name FROM Lead",
    "SELECT Id, (SELECT Id FROM Contacts) FROM Account",
    "SELECT MAX(CreatedDate) FROM Lead",
    "SELECT Status FROM Lead GROUP BY Status",
    "SELECT Id FROM Contact WHERE AccountId IN (SELECT Id FROM Account)",
    "SELECT Id FROM Lead FOR UPDATE",
    "SELECT Id FROM Lead l WHERE l.Name = 'x'",
]


def test_unsupported_soql_is_refused(subtests: pytest.Subtests) -> None:
    for query in BEYOND:
        with subtests.test(query=query):
            with pytest.raises(ApiError) as caught:
                run(Org(SimClock()), query, include_deleted=False)
            assert (caught.value.status, caught.value.problem.code) == (400, "SIMULATOR_LIMIT")


ID_PAGES = [
    ("WHERE Id > {1} ORDER BY Id", "COZ"),
    ("WHERE Id > {1} ORDER BY Id LIMIT 2", "CO"),
    ("WHERE Id < {3} ORDER BY Id DESC LIMIT 2", "Cb"),
    ("WHERE Id >= {1} AND Id <= {3} ORDER BY Id DESC", "OCb"),
    ("WHERE Id > {0} AND Id < {4} AND (Id > {1} AND Id < {3}) ORDER BY Id", "C"),
    ("WHERE Id IN ({4}, {0}, {2}) ORDER BY Id", "ACZ"),
    ("WHERE Id IN ({4}, {0}, {2}) AND Id IN ({2}, {3}) ORDER BY Id DESC", "C"),
    ("WHERE Id IN ({4}, {0}, {2}) AND Id > {0} ORDER BY Id DESC LIMIT 1", "Z"),
    ("WHERE Id = {2} OR Id > {3} ORDER BY Id", "CZ"),
    ("WHERE (NOT Id > {1}) ORDER BY Id DESC", "bA"),
    ("WHERE Id NOT IN ({0}, {1}) ORDER BY Id LIMIT 1 OFFSET 1", "O"),
    ("WHERE Id != {0} AND LastName > 'c' ORDER BY Id DESC LIMIT 2 OFFSET 1", "OC"),
    ("ORDER BY Id DESC, LastName LIMIT 2", "ZO"),
]


@pytest.mark.parametrize("width", [15, 18])
@pytest.mark.parametrize(("rest", "expected"), ID_PAGES)
def test_pages_by_id(org: Org, rest: str, expected: str, width: int) -> None:
    ids = [f"'{str(record['Id'])[:width]}'" for record in org.records("Lead")]
    assert names(org, rest.format(*ids)) == expected


def test_a_record_with_a_given_id_has_its_place_in_the_order() -> None:
    org = Org(SimClock(source=lambda: NOW))
    for last_name, record_id in (("Second", None), ("First", to_18("00QSm0000000002"))):
        org.insert("Lead", {"LastName": last_name, "Company": "Example Ltd"} | ({"Id": record_id} if record_id else {}))
    assert names(org, "ORDER BY Id") == "FS"
    assert names(org, "ORDER BY Id DESC") == "SF"
    assert names(org, "") == "SF"
