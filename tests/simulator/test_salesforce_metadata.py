"""The simulated Metadata API: recorded shapes, refusals by rule, and fields that are hidden until they are granted."""

import re
from collections.abc import Mapping
from typing import Any
from xml.etree.ElementTree import Element

import pytest
import recordings
from defusedxml.ElementTree import fromstring

from connector.simulator.clock import SimClock
from connector.simulator.faults import Faults
from connector.simulator.salesforce import SalesforceSite
from connector.simulator.salesforce.exchange import Call
from connector.simulator.salesforce.metadata import NAMESPACE

TOKEN = "token"
NS = f"{{{NAMESPACE}}}"
TEXT = {"label": "Note", "type": "Text", "length": "20"}


@pytest.fixture
def site() -> SalesforceSite:
    made = SalesforceSite(SimClock(), Faults())
    made.accept_token(TOKEN)
    return made


def field(name: str, **elements: str) -> str:
    inner = "".join(f"<{tag}>{text}</{tag}>" for tag, text in ({"fullName": name} | (elements or TEXT)).items())
    return f'<metadata xsi:type="CustomField">{inner}</metadata>'


def send(site: SalesforceSite, body: str, token: str = TOKEN) -> tuple[int, Element]:
    raw = (
        '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        f'<soapenv:Header xmlns="{NAMESPACE}"><SessionHeader><sessionId>{token}</sessionId></SessionHeader>'
        "</soapenv:Header>"
        f'<soapenv:Body xmlns="{NAMESPACE}">{body}</soapenv:Body></soapenv:Envelope>'
    )
    answer = site.metadata.answer(Call("", {}, {}, {}, raw.encode()))
    return answer.status, fromstring(answer.xml or "")


def upsert(site: SalesforceSite, *components: str) -> list[dict[str, Any]]:
    status, root = send(site, f"<upsertMetadata>{''.join(components)}</upsertMetadata>")
    assert status == 200
    return [_told(row) for row in root.iter(f"{NS}result")]


def _told(node: Element) -> dict[str, Any]:
    return {child.tag.removeprefix(NS): _told(child) if len(child) else child.text for child in node}


def test_results_have_the_recorded_shape(site: SalesforceSite) -> None:
    folder = recordings.folder() / "amp-labs-connectors" / "test" / "metadata" / "write"
    recorded = fromstring((folder / "object15" / "mix-of-many-fields-response.xml").read_bytes())
    refused = fromstring((folder / "object15" / "bad-request.xml").read_bytes())
    ours = upsert(site, field("Lead.Note__c"), field("Lead.Box__c", label="Box", type="Checkbox", required="false"))
    theirs = [_told(next(root.iter(f"{NS}result"))) for root in (recorded, refused)]
    assert recordings.shape(ours) == recordings.shape(theirs)
    assert ours[1]["errors"]["message"] == theirs[1]["errors"]["message"]
    assert ours[1]["errors"]["statusCode"] == theirs[1]["errors"]["statusCode"]


def test_a_second_upsert_creates_nothing(site: SalesforceSite) -> None:
    assert upsert(site, field("Lead.Note__c"))[0]["created"] == "true"
    assert upsert(site, field("Lead.Note__c"))[0]["created"] == "false"


def test_a_new_field_is_hidden_until_its_permission_set_is_assigned(site: SalesforceSite) -> None:
    upsert(site, field("Lead.Note__c"))
    assert site.org.kind("Lead").readable("Note__c") is None
    inner = (
        "<fullName>Notes</fullName><label>Notes</label><fieldPermissions><editable>false</editable>"
        "<field>Lead.Note__c</field><readable>true</readable></fieldPermissions>"
    )
    upsert(site, f'<metadata xsi:type="PermissionSet">{inner}</metadata>')
    assert site.org.kind("Lead").readable("Note__c") is None
    (row,) = site.org.records("PermissionSet")
    body = f'{{"AssigneeId": "{site.org.user_id}", "PermissionSetId": "{row["Id"]}"}}'.encode()
    assert site.metadata.create_assignment(Call("", {}, {}, {}, body)).status == 201
    found = site.org.kind("Lead").readable("Note__c")
    assert found is not None
    assert not site.org.kind("Lead").can_update(found)


def test_a_repeated_assignment_has_the_recorded_refusal(site: SalesforceSite) -> None:
    upsert(site, '<metadata xsi:type="PermissionSet"><fullName>Notes</fullName><label>Notes</label></metadata>')
    (row,) = site.org.records("PermissionSet")
    call = Call("", {}, {}, {}, f'{{"AssigneeId": "{site.org.user_id}", "PermissionSetId": "{row["Id"]}"}}'.encode())
    site.metadata.create_assignment(call)
    with pytest.raises(Exception, match="Duplicate") as caught:
        site.metadata.create_assignment(call)
    (problem,) = caught.value.problems  # type: ignore[attr-defined]
    recorded = recordings.body(
        "amp-labs-connectors", "test", "metadata", "write", "err-duplicate-permission-assignment.json"
    )
    ours = problem.as_error()
    assert {name: ours[name] for name in ("errorCode", "fields")} == {
        name: recorded[0][name] for name in ("errorCode", "fields")
    }
    ids = re.compile(r"0(05|PS)\w+")
    assert ids.sub("ID", str(ours["message"])) == ids.sub("ID", recorded[0]["message"])


@pytest.mark.parametrize(
    ("elements", "code"),
    [
        ({"label": "N", "type": "Text"}, "FIELD_INTEGRITY_EXCEPTION"),
        ({"label": "N", "type": "Text", "length": "256"}, "FIELD_INTEGRITY_EXCEPTION"),
        ({"label": "N", "type": "Url", "length": "255"}, "FIELD_INTEGRITY_EXCEPTION"),
        ({"label": "N", "type": "Checkbox"}, "FIELD_INTEGRITY_EXCEPTION"),
        ({"label": "N", "type": "Picklist"}, "FIELD_INTEGRITY_EXCEPTION"),
        ({"type": "Text", "length": "20"}, "REQUIRED_FIELD_MISSING"),
        ({"label": "N", "type": "Text", "length": "20", "lenght": "20"}, "INVALID_TYPE"),
        ({"label": "N" * 41, "type": "Text", "length": "20"}, "STRING_TOO_LONG"),
        ({"label": "N", "type": "Lookup"}, "SIMULATOR_LIMIT"),
    ],
)
def test_a_wrong_field_is_refused(site: SalesforceSite, elements: Mapping[str, str], code: str) -> None:
    (result,) = upsert(site, field("Lead.Note__c", **elements))
    assert (result["success"], result["errors"]["statusCode"]) == ("false", code)
    assert site.org.kind("Lead").field("Note__c") is None


@pytest.mark.parametrize("name", ["Nowhere__c.Note__c", "Lead.Note", "Lead.2nd__c", "Lead.A__B__c"])
def test_a_field_with_a_wrong_name_is_refused(site: SalesforceSite, name: str) -> None:
    (result,) = upsert(site, field(name))
    assert result["success"] == "false"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("<deleteMetadata/>", "SIMULATOR_LIMIT"),
        ("", "SIMULATOR_LIMIT"),
        (f"<upsertMetadata>{field('Lead.A__c')}<metadata xsi:type='Flow'/></upsertMetadata>", "INVALID_TYPE"),
        (f"<upsertMetadata>{field('Lead.A__c') * 11}</upsertMetadata>", "EXCEEDED_ID_LIMIT"),
    ],
)
def test_a_wrong_call_is_a_fault(site: SalesforceSite, body: str, code: str) -> None:
    status, root = send(site, body)
    assert status == 500
    assert root.findtext(".//faultcode") == f"sf:{code}"


def test_a_wrong_token_and_a_user_without_rights_are_faults(site: SalesforceSite) -> None:
    body = "<readMetadata><type>CustomField</type><fullNames>Lead.A__c</fullNames></readMetadata>"
    assert send(site, body, token="other")[1].findtext(".//faultcode") == "sf:INVALID_SESSION_ID"
    site.metadata.may_modify = False
    assert send(site, body)[1].findtext(".//faultcode") == "sf:INSUFFICIENT_ACCESS"


def test_what_does_not_exist_is_read_as_nil(site: SalesforceSite) -> None:
    upsert(site, field("Lead.Note__c"))
    names = ("Lead.Note__c", "Lead.Other__c", "Lead.LinkedIn_URL__c", "Lead.Email")
    wanted = "".join(f"<fullNames>{name}</fullNames>" for name in names)
    _, root = send(site, f"<readMetadata><type>CustomField</type>{wanted}</readMetadata>")
    found = [row.findtext(f"{NS}fullName") for row in root.iter(f"{NS}records")]
    assert found == ["Lead.Note__c", None, "Lead.LinkedIn_URL__c", None]
