"""Salesforce's reason for refusing a query, and nothing of the condition's values."""

import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from org_harness import Harness, OrgHost

from connector.core.errors import ConfigurationError
from connector.crm.interface import Selection
from connector.crm.salesforce.reasons import reason_of
from connector.crm.salesforce.soql import literals, page_query

WHERE = "LastName = 'Roe' AND Citty = 'Jane Roe'"
HINT = (
    " If you are attempting to use a custom field, be sure to append the '__c' after the custom field name. Please "
    "reference your WSDL or the describe call for the appropriate names."
)


@pytest.fixture(scope="module")
def host() -> Iterator[OrgHost]:
    with OrgHost() as host:
        yield host


@pytest.fixture
def harness(host: OrgHost) -> Harness:
    return host.fresh()


def echoed(query: str, reason: str, column: int = 80) -> str:
    return f"\n{query}\n{' ' * column}^\nERROR at Row:1:Column:{column}\n{reason}"


@pytest.mark.parametrize(
    ("message", "where", "shown"),
    [
        (echoed(WHERE, f"No such column 'Citty' on entity 'Lead'.{HINT}"), WHERE, "No such column 'Citty' on Lead"),
        (
            echoed("me = 'Roe' AND Citty = 'Jane", "No such column 'Citty' on entity 'Lead'."),
            WHERE,
            "No such column 'Citty' on Lead.",
        ),
        ("No such column 'AccountNumer' on sobject of type Account", "", "No such column 'AccountNumer' on Account"),
        (
            echoed("Name FROM Accout", f"sObject type 'Accout' is not supported.{HINT.replace('field', 'object')}"),
            "",
            "sObject type 'Accout' is not supported",
        ),
        (echoed("Id = 'not an id'", "invalid ID field: not an id"), "Id = 'not an id'", "invalid ID field: …"),
        (echoed("x", "unexpected token: 'Roe'"), WHERE, "unexpected token: '…'"),
        ("unexpected token: 'Jane Roe' and Roe", WHERE, "unexpected token: '…' and …"),
        (
            echoed("A = 'ERROR at Row:1:Column:1 secret'", "value ERROR at Row:1:Column:1 secret is odd"),
            "A = 'ERROR at Row:1:Column:1 secret'",
            "secret is odd",
        ),
        (echoed("A = 'it\\'s'", "bad value it's or it\\'s"), "A = 'it\\'s'", "bad value … or …"),
        (echoed("A = 4711", "bad number 4711"), "A = 4711", "bad number …"),
        (echoed("A = 2026-01-31T00:00:00Z", "bad 2026-01-31T00:00:00Z"), "A = 2026-01-31T00:00:00Z", "bad …"),
        (echoed("Email = 'x", "unknown ada@example.com"), "", "unknown …"),
        ("", "", ""),
    ],
)
def test_reasons(message: str, where: str, shown: str) -> None:
    assert reason_of(message, literals(f"({where}) LIMIT 1")) == shown


@pytest.mark.parametrize(
    ("where", "token"),
    [
        ("LastName = Rosenberg", "Rosenberg"),
        ("LastName != Jane Rosenberg", "Rosenberg"),
        ("LastName LIKE Rosen%", "Rosen"),
        ("LastName NOT IN (Roe, Rosenberg) AND Id != null", "Rosenberg"),
        ("Id != null AND LastName Rosenberg", "Rosenberg"),
        ('LastName = "Rosenberg"', "Rosenberg"),
        ("LastName = \u2018Rosenberg\u2019", "Rosenberg"),
        ("LastName = 'O'Hara' OR LastName = 'O'Brien'", "Hara"),
        ("LastName = J.Rosenberg", "Rosenberg"),
    ],
)
def test_a_value_whose_quotes_were_forgotten_is_masked(where: str, token: str) -> None:
    query = page_query(Selection("Lead", ("LastName",), where=("IsConverted = false", where)), None, 1)
    assert reason_of(f"unexpected token: '{token}'", literals(query)) == "unexpected token: '…'"
    assert reason_of(f"unexpected token: '{token}'", literals(where)) == "unexpected token: '…'"


@pytest.mark.parametrize("name", ["Citty", "Createdd", "LeadIdd", "Campaigns", "Namee", "Company", "Account.Nam"])
def test_names_of_fields_and_objects_are_shown(name: str) -> None:
    query = (
        "SELECT Id, Namee FROM Lead WHERE Citty = 'x' AND DAY_ONLY(Createdd) = TODAY AND Id IN (SELECT LeadIdd FROM "
        "Campaigns WHERE Company != null) AND NOT Account.Nam LIKE 'y' ORDER BY Id DESC LIMIT 1"
    )
    assert reason_of(f"No such column '{name}'", literals(query)) == f"No such column '{name}'"


@given(st.lists(st.text(st.characters(categories=["L", "Nd"]), min_size=3, max_size=10), min_size=1, max_size=4))
def test_no_text_of_a_condition_is_ever_shown(values: list[str]) -> None:
    where = " OR ".join(f"LastName = '{value}'" for value in values)
    for cut in range(0, len(where), 7):
        shown = reason_of(echoed(where[cut:], f"unexpected: {' '.join(values)} and '{values[0]}"), literals(where))
        assert not set(values) & set(re.split(r"[\s']", shown)) - {"unexpected", "and"}


def test_literals_of_texts_that_never_end() -> None:
    assert "never ends" in literals("A = 'b' AND C = 'never ends")
    assert literals("Amount__c = 5 AND Name2__c = null") == ["5"]


@pytest.mark.parametrize("values", [("Roe", "Jane Roe"), ("O\\'Hara", "x"), ("ada@example.com", "(555) 0100")])
def test_a_bad_condition_shows_the_column_and_no_value(harness: Harness, values: tuple[str, str]) -> None:
    condition = f"LastName = '{values[0]}' AND Citty = '{values[1]}'"
    crm = harness.ready()
    reason = f"No such column 'Citty' on entity 'Lead'.{HINT}"
    harness.arm("query", "status", status=400, errorCode="INVALID_FIELD", message=echoed(condition, reason))
    with pytest.raises(ConfigurationError) as caught:
        crm.check_condition("Lead", condition)
    assert str(caught.value) == "Salesforce refuses the condition (INVALID_FIELD): No such column 'Citty' on Lead"
