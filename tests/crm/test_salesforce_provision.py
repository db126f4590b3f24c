"""What mappings need in an org: found, written as a package, and created once by the Metadata API."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
import recordings
from defusedxml.ElementTree import fromstring
from org_harness import Harness, OrgHost

from connector.app.mappings import CATALOG
from connector.core.errors import ConfigurationError
from connector.core.mapping import MappingFile
from connector.crm.provisioning import ItemState, Needed, Provisioner, TriggerApi
from connector.crm.salesforce.components import NAMESPACE
from connector.crm.salesforce.metadata_api import _parsed, _problem
from connector.simulator.faults import Fault
from connector.simulator.salesforce.schema import Field
from connector.simulator.salesforce.standard import ENRICHMENT

TRIGGER = TriggerApi(
    "https://enrich.example.com",
    '{"paths": {"/v1/enrichments/{mapping}/{record}": {"post": {"operationId": "requestrecord"}}}}',
    "requestrecord",
)


@pytest.fixture(scope="module")
def host() -> Iterator[OrgHost]:
    with OrgHost() as made:
        yield made


@pytest.fixture
def org(host: OrgHost) -> Harness:
    return host.fresh()


LEAD: dict[str, Any] = {
    "version": 1,
    "name": "lead",
    "object": "Lead",
    "select": {"flag": "Ask__c", "where": "IsConverted = false AND Rating = 'Hot__c'"},
    "person": {"personnel_id": "Pid__c", "event_id": "Event__c", "linkedin_url": "Link__c"},
    "channels": {
        "work_email": {
            "from": ["lensmor"],
            "field": "Email",
            "status": "Mail_State__c",
            "opt_out": "HasOptedOutOfEmail",
        },
        "personal_email": {"from": ["salesfinity"], "field": "Own_Mail__c"},
        "phone": {
            "from": ["lensmor"],
            "field": "MobilePhone",
            "stamp": {"source": "Phone_Source__c", "at": "Phone_At__c", "run": "Phone_Run__c"},
        },
    },
    "stamp": {"error": "Why__c", "personnel_id": "Pid__c"},
}


def mapping(**changes: object) -> MappingFile:
    return CATALOG.model.model_validate({**LEAD, **changes})


def provisioner(harness: Harness) -> Provisioner:
    return harness.ready().provisioner()


def states(needed: Needed) -> dict[str, ItemState]:
    return {f"{item.kind} {item.name}": item.state for item in needed.items}


NEW_FIELDS = {
    "Ask__c": "Checkbox",
    "Pid__c": "Text(64)",
    "Event__c": "Text(100)",
    "Link__c": "Url",
    "Mail_State__c": "Picklist",
    "Own_Mail__c": "Email",
    "Phone_Source__c": "Text(80)",
    "Phone_At__c": "DateTime",
    "Phone_Run__c": "Text(64)",
    "Why__c": "Text(255)",
}


def test_exactly_the_missing_fields_are_new_with_types_by_their_use(org: Harness) -> None:
    org.org.add_field("Lead", Field("Link__c", "url", 255))
    needed = provisioner(org).prepare([mapping()], None)
    fields = {item.name.partition(".")[2]: item.detail for item in needed.items if item.kind == "field"}
    assert fields == {name: kind for name, kind in NEW_FIELDS.items() if name != "Link__c"}


def test_the_package_is_deployed_once_and_gives_the_user_exactly_the_mapping(org: Harness) -> None:
    found = provisioner(org)
    needed = found.prepare([mapping()], TRIGGER)
    assert set(states(needed).values()) == {ItemState.NEW}
    assert [one.problem for one in found.apply(needed)] == [""] * len(needed.items)
    assert [one.problem for one in found.assign(needed, "integration@example.com")] == [""]
    kind = org.org.kind("Lead")
    for name in NEW_FIELDS:
        assert kind.readable(name) is not None, name
    writable = {field.name for field in kind.readable_fields() if field.name in NEW_FIELDS and kind.can_update(field)}
    assert writable == set(NEW_FIELDS) - {"Event__c", "Link__c"}
    again = found.prepare([mapping()], TRIGGER)
    assert set(states(again).values()) == {ItemState.PRESENT}
    assert again.missing == ()
    assert found.apply(again) == []
    assert [one.problem for one in found.assign(again, "integration@example.com")] == [""]


def test_a_new_field_is_invisible_until_the_permission_set_is_assigned(org: Harness) -> None:
    found = provisioner(org)
    found.apply(found.prepare([mapping()], None))
    assert org.org.kind("Lead").readable("Ask__c") is None
    needed = found.prepare([mapping()], None)
    assert "field Lead.Ask__c" not in {name for name, state in states(needed).items() if state is not ItemState.PRESENT}


def test_a_permission_set_that_lacks_a_field_is_changed(org: Harness) -> None:
    found = provisioner(org)
    found.apply(found.prepare([mapping()], None))
    wider = mapping(stamp={"error": "Why__c", "enriched_at": "At__c"})
    needed = found.prepare([wider], None)
    assert [(item.name, item.state) for item in needed.missing] == [
        ("Lead.At__c", ItemState.NEW),
        ("CRM_Enrichment_lead", ItemState.CHANGED),
    ]
    found.apply(needed)
    assert found.prepare([wider], None).missing == ()


def test_fields_of_every_user_are_not_granted(org: Harness) -> None:
    """Salesforce refuses to grant required and system fields."""
    needed = provisioner(org).prepare(
        [mapping(channels={"phone": {"from": ["lensmor"], "field": "MobilePhone"}})], None
    )
    text = next(
        text for path, text in needed.files.items() if path.endswith("CRM_Enrichment_lead.permissionset-meta.xml")
    )
    granted = [
        row.findtext(f"{{{NAMESPACE}}}field") for row in fromstring(text).iter(f"{{{NAMESPACE}}}fieldPermissions")
    ]
    assert granted == [
        *("Lead.Ask__c", "Lead.Event__c", "Lead.Link__c", "Lead.MobilePhone", "Lead.Pid__c", "Lead.Rating"),
        "Lead.Why__c",
    ]


def test_a_contact_needs_read_access_to_accounts(org: Harness) -> None:
    found = provisioner(org)
    contact = mapping(name="contact", object="Contact", select={"flag": "Ask__c"})
    assert [one.problem for one in found.apply(found.prepare([contact], None))] == [""] * 12


@pytest.mark.parametrize("key", ["opt_out", "empty_when"])
def test_an_opt_out_that_is_missing_is_never_created(org: Harness, key: str) -> None:
    """A new checkbox would be empty in every record: nobody would be opted out."""
    channel = {"from": ["lensmor"], "field": "Email", key: "No_Mail__c"}
    needed = provisioner(org).prepare([mapping(channels={"work_email": channel})], None)
    assert "No_Mail__c" not in str(needed.items) + str(needed.files)
    assert any("Lead.No_Mail__c does not exist or is hidden, and is not created" in note for note in needed.notes)


def test_an_opt_out_that_is_only_hidden_is_granted(org: Harness) -> None:
    org.org.add_field("Lead", Field("No_Mail__c", "boolean", nillable=False, default=False))
    org.org.hide_field("Lead", "No_Mail__c")
    org.org.hide_field("Lead", "HasOptedOutOfEmail")
    channels = {
        "work_email": {"from": ["lensmor"], "field": "Email", "opt_out": "No_Mail__c"},
        "personal_email": {"from": ["salesfinity"], "field": "Own_Mail__c", "opt_out": "HasOptedOutOfEmail"},
    }
    found = provisioner(org)
    needed = found.prepare([mapping(channels=channels)], None)
    found.apply(needed)
    found.assign(needed, "integration@example.com")
    for name in ("No_Mail__c", "HasOptedOutOfEmail"):
        assert org.org.kind("Lead").readable(name) is not None


def test_a_hidden_field_of_the_condition_is_granted_and_an_unknown_one_is_reported(org: Harness) -> None:
    org.org.add_field("Lead", Field("Region__c", "string", 20))
    org.org.hide_field("Lead", "Region__c")
    found = provisioner(org)
    where = "Region__c = 'EMEA' AND Regoin__c != 'x'"
    needed = found.prepare([mapping(select={"flag": "Ask__c", "where": where})], None)
    assert [one.problem for one in found.apply(needed) if one.problem] == []
    found.assign(needed, "integration@example.com")
    assert org.org.kind("Lead").readable("Region__c") is not None
    assert any(note.startswith("Lead.Regoin__c does not exist or is hidden") for note in needed.notes)


def test_without_a_public_address_there_is_no_flow(org: Harness) -> None:
    needed = provisioner(org).prepare([mapping()], None)
    assert not any("low" in path or "redential" in path for path in needed.files)
    assert any("CONNECTOR_PUBLIC_URL is not set" in note for note in needed.notes)


def test_no_file_has_a_secret_and_every_file_is_xml(org: Harness) -> None:
    needed = provisioner(org).prepare([mapping()], TRIGGER)
    for path, text in needed.files.items():
        assert "sim-client-secret" not in text
        assert "Bearer" not in text or "$Credential.CRM_Enrichment.Token" in text
        if path.endswith(".xml"):
            assert path.startswith("force-app/main/default/")
            assert fromstring(text).tag.startswith(f"{{{NAMESPACE}}}")
    assert len(needed.files) == len(needed.items) + 1


def test_the_flow_starts_only_when_the_flag_turns_on(org: Harness) -> None:
    needed = provisioner(org).prepare([mapping()], TRIGGER)
    root = fromstring(next(text for path, text in needed.files.items() if "/flows/" in path))
    start = root.find(f"{{{NAMESPACE}}}start")
    assert start is not None
    told = {child.tag.rpartition("}")[2]: (child.text or "").strip() for child in start}
    assert told["doesRequireRecordChangedToMeetCriteria"] == "true"
    assert (told["object"], told["triggerType"]) == ("Lead", "RecordAfterSave")
    assert start.find(f"{{{NAMESPACE}}}connector") is None, "a callout must not run in the transaction of the save"
    assert [node.text for node in start.iter(f"{{{NAMESPACE}}}pathType")] == ["AsyncAfterCommit"]
    assert root.findtext(f"{{{NAMESPACE}}}status") == "Draft"


def test_a_user_without_metadata_rights_gets_the_package_and_a_true_answer(org: Harness) -> None:
    org.site.metadata.may_modify = False
    found = provisioner(org)
    needed = found.prepare([mapping()], TRIGGER)
    assert set(states(needed).values()) == {ItemState.UNSEEN}
    assert needed.files
    with pytest.raises(ConfigurationError, match="INSUFFICIENT_ACCESS"):
        found.apply(needed)


def test_an_expired_token_is_renewed_once(org: Harness) -> None:
    found = provisioner(org)
    org.site.expire_tokens()
    assert found.prepare([mapping()], None).missing


@pytest.mark.parametrize("action", ["drop_after", "status", "html", "truncated"])
def test_a_spoilt_answer_is_asked_again(org: Harness, action: str) -> None:
    found = provisioner(org)
    org.faults.arm(Fault("salesforce", "metadata", action))
    needed = found.prepare([mapping()], None)
    assert set(states(needed).values()) == {ItemState.NEW}
    org.faults.arm(Fault("salesforce", "metadata", action))
    assert [one.problem for one in found.apply(needed)] == [""] * len(needed.items)


def test_a_refused_part_is_named_with_salesforces_reason(org: Harness) -> None:
    found = provisioner(org)
    contact = mapping(name="a" * 40, object="Contact", select={"flag": "Ask__c"})
    needed = found.prepare([contact], None)
    applied = found.apply(replace(needed, items=tuple(item for item in needed.items if item.kind != "field")))
    assert {one.item.kind: one.problem.partition(":")[0] for one in applied} == {
        "permission set": "INVALID_CROSS_REFERENCE_KEY",
        "list view": "INVALID_CROSS_REFERENCE_KEY",
    }


def test_an_unknown_user_is_refused(org: Harness) -> None:
    found = provisioner(org)
    needed = found.prepare([mapping()], None)
    found.apply(needed)
    with pytest.raises(ConfigurationError, match="no user with this login name"):
        found.assign(needed, "nobody@example.com")


def test_the_shipped_mappings_need_only_what_the_simulated_org_lacks(org: Harness) -> None:
    names = {field.name for field in ENRICHMENT}
    needed = provisioner(org).prepare([mapping(select={"flag": "Enrichment_Requested__c"})], None)
    assert not {item.name.partition(".")[2] for item in needed.items if item.kind == "field"} & names


# -- recorded answers ---------------------------------------------------------------------------------------------


def recorded(*parts: str) -> bytes:
    return recordings.folder().joinpath("amp-labs-connectors", "test", "metadata", *parts).read_bytes()


def results(raw: bytes) -> Mapping[str, str]:
    root = _parsed(raw)
    rows = root.iter(f"{{{NAMESPACE}}}result")
    return {row.findtext(f"{{{NAMESPACE}}}fullName") or "": _problem(row) for row in rows}


def test_recorded_results_are_understood() -> None:
    assert set(results(recorded("write", "object15", "mix-of-many-fields-response.xml")).values()) == {""}
    assert results(recorded("write", "write-field-permissions-response.xml")) == {
        "IntegrationCustomFieldVisibility": ""
    }
    assert results(recorded("write", "object15", "bad-request.xml")) == {
        "TestObject15__c.IsReady__c": "FIELD_INTEGRITY_EXCEPTION: Can not specify 'required' for a CustomField of type "
        "Checkbox"
    }
