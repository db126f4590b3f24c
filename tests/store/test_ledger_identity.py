"""A ledger belongs to its orgs and vendor accounts, and each flag to one mapping."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from ledger_harness import START, LedgerHarness, planned

from connector.core.errors import ConfigurationError
from connector.core.plan import Skip
from connector.store import tables as t
from connector.store.identity import FlagUse, OrgIdentity, VendorIdentity


@pytest.fixture(name="harness")
def _harness() -> LedgerHarness:
    return LedgerHarness()


ORG = OrgIdentity("salesforce", "00D000000000001AAA", "acme.my.salesforce.com")
LENSMOR = VendorIdentity("lensmor", "https://platform.lensmor.com", "default")
FLAG = FlagUse("salesforce", "Lead", "Enrichment_Requested__c", "lead")


def test_the_first_use_is_recorded_and_accepted_again(harness: LedgerHarness) -> None:
    for _ in range(2):
        harness.ledger.identity.bind([ORG], [LENSMOR], [FLAG], START)


@pytest.mark.parametrize(
    ("org", "text"),
    [
        (OrgIdentity("salesforce", "00D000000000002AAA", "acme.my.salesforce.com"), "00D000000000002AAA"),
        (OrgIdentity("salesforce", "", "other.my.salesforce.com"), "other.my.salesforce.com"),
    ],
)
def test_another_org_is_refused_and_both_are_named(harness: LedgerHarness, org: OrgIdentity, text: str) -> None:
    harness.ledger.identity.bind([ORG], [LENSMOR])
    with pytest.raises(ConfigurationError, match=text) as raised:
        harness.ledger.identity.bind([org], [LENSMOR])
    assert "acme.my.salesforce.com" in str(raised.value)
    assert "CONNECTOR_DATABASE_URL" in str(raised.value)


def test_a_renamed_org_is_the_same_org(harness: LedgerHarness) -> None:
    harness.ledger.identity.bind([ORG], [])
    harness.ledger.identity.bind([OrgIdentity("salesforce", ORG.id, "new.my.salesforce.com")], [])
    harness.ledger.identity.bind([OrgIdentity("salesforce", "", "new.my.salesforce.com")], [])
    with pytest.raises(ConfigurationError):  # the id is kept although it was not read the last time
        harness.ledger.identity.bind([OrgIdentity("salesforce", "00D000000000009AAA", "new.my.salesforce.com")], [])


@pytest.mark.parametrize(
    "other",
    [
        VendorIdentity("lensmor", "http://127.0.0.1:8080", "default"),
        VendorIdentity("lensmor", "https://platform.lensmor.com", "second"),
    ],
)
def test_another_address_or_account_of_a_vendor_is_refused(harness: LedgerHarness, other: VendorIdentity) -> None:
    harness.ledger.identity.bind([], [LENSMOR])
    with pytest.raises(ConfigurationError, match=r"https://platform\.lensmor\.com") as raised:
        harness.ledger.identity.bind([], [other])
    assert str(other) in str(raised.value)


def test_every_problem_is_reported_and_nothing_is_recorded(harness: LedgerHarness) -> None:
    harness.ledger.identity.bind([ORG], [LENSMOR])
    other_org = OrgIdentity("salesforce", "00D000000000002AAA", "sandbox.my.salesforce.com")
    other_vendor = VendorIdentity("lensmor", "http://127.0.0.1:1", "default")
    with pytest.raises(ConfigurationError) as raised:
        harness.ledger.identity.bind(
            [other_org], [other_vendor, VendorIdentity("salesfinity", "https://s.example", "a")]
        )
    assert len(str(raised.value).splitlines()) == 2
    harness.ledger.identity.bind([ORG], [LENSMOR, VendorIdentity("salesfinity", "https://other.example", "a")])


def test_a_check_without_record_stores_nothing(harness: LedgerHarness) -> None:
    harness.ledger.identity.bind([ORG], [LENSMOR], [FLAG], START, record=False)
    with harness.ledger.database.read() as connection:
        keys = set(connection.scalars(sa.select(t.meta.c.key)))
    assert not {key for key in keys if key.startswith(("org:", "vendor:", "flag:"))}


# -- flags ----------------------------------------------------------------------------------------------------------


def other_mapping(**changes: str) -> FlagUse:
    facts = {"crm": "salesforce", "object": "Lead", "field": "Enrichment_Requested__c", "mapping": "lead-phones"}
    return FlagUse(**(facts | changes))


def test_a_flag_of_another_mapping_is_refused_in_any_case_of_its_name(harness: LedgerHarness) -> None:
    harness.ledger.identity.bind([], [], [FLAG], START)
    for field in ("Enrichment_Requested__c", "ENRICHMENT_REQUESTED__C"):
        with pytest.raises(ConfigurationError, match="belongs to mapping lead of this ledger") as raised:
            harness.ledger.identity.bind([], [], [other_mapping(field=field)], START)
        assert "write name: lead" in str(raised.value)


def test_the_same_field_of_another_object_is_another_flag(harness: LedgerHarness) -> None:
    harness.ledger.identity.bind([], [], [FLAG, other_mapping(object="Contact")], START)


def test_an_unused_flag_is_free_after_a_month(harness: LedgerHarness) -> None:
    harness.ledger.identity.bind([], [], [FLAG], START)
    with pytest.raises(ConfigurationError):
        harness.ledger.identity.bind([], [], [other_mapping()], START + timedelta(days=29))
    harness.ledger.identity.bind([], [], [other_mapping()], START + timedelta(days=31))


def test_a_mapping_with_a_new_flag_releases_the_former_one(harness: LedgerHarness) -> None:
    moved = FlagUse(FLAG.crm, FLAG.object, "Other_Flag__c", FLAG.mapping)
    harness.ledger.identity.bind([], [], [FLAG], START)
    harness.ledger.identity.bind([], [], [moved], START)
    harness.ledger.identity.bind([], [], [other_mapping()], START)
    with pytest.raises(ConfigurationError, match="belongs to mapping lead-phones"):
        harness.ledger.identity.bind([], [], [FLAG], START)


def test_a_mapping_with_open_records_keeps_its_flag(harness: LedgerHarness) -> None:
    harness.ledger.identity.bind([], [], [FLAG], START)
    harness.save(planned("00Q1", Skip("waits")))
    with pytest.raises(ConfigurationError):
        harness.ledger.identity.bind([], [], [other_mapping()], START + timedelta(days=90))
