"""Scenes between the connector and Salesforce, which are recorded and replayed."""

import pytest
from scene_setting import ADA, EVENT, GONE, LEADS, MERGED, PERSON, Scene, Setting

from connector.core.errors import ConfigurationError, DownError, PassingError, QuotaError
from connector.crm.interface import ErrorClass, Rejection, Selection, Update
from connector.simulator.faults import Fault
from connector.simulator.server import Simulator

FLAG = "Enrichment_Requested__c"
QUEUE = Selection("Lead", ("Email", "Phone", FLAG), flag=(FLAG, True), where=("IsConverted = false",))


def leads(sim: Simulator) -> None:
    """Three flagged Leads, and two more: one is deleted, the other merged into the first."""
    org = sim.salesforce.org
    facts = {"LastName": "Person", "FirstName": "Example", "Company": "Example Works"}
    identity = {"Lensmor_Personnel_Id__c": PERSON, "Lensmor_Event_Id__c": EVENT}
    made = [org.insert("Lead", {**facts, **identity, FLAG: True}) for _ in LEADS]
    made += [org.insert("Lead", {**facts, "LinkedIn_URL__c": f"https://www.linkedin.com/in/{ADA}"}) for _ in range(2)]
    assert made == [*LEADS, GONE, MERGED]
    org.delete("Lead", GONE)
    org.merge("Lead", LEADS[0], MERGED)


def spoil(sim: Simulator, operation: str, action: str, subject: str | None = None, **params: object) -> None:
    """Arm one fault."""
    sim.arm(Fault("salesforce", operation, action, subject=subject, params=params))


def success(setting: Setting) -> None:
    crm, lead = setting.org(), setting.who(LEADS[0])
    crm.login()
    assert crm.describe("Lead").get("phone") is not None
    crm.check_condition("Lead", "IsConverted = false")
    chosen = Selection("Lead", ("Email", "Phone"), where=("IsConverted = false",), ids=(lead,))
    (found,) = [record for page in crm.select(chosen) for record in page]
    assert found.id == lead
    assert crm.update("Lead", [Update(lead, {"Phone": "+1 415 555 0100"})]) == [None]
    after = crm.read("Lead", [lead], ["Phone"])[lead]
    assert after is not None
    assert after.values["Phone"] == "+1 415 555 0100"
    assert after.moved_to is None
    usage = crm.usage()
    assert (usage.read_calls, usage.write_calls, usage.other_calls) == (2, 1, 3)
    assert usage.daily_used is not None


def _shown(answer: Rejection | None) -> tuple[ErrorClass, str, tuple[str, ...]] | None:
    return None if answer is None else (answer.error_class, answer.code, answer.fields)


def partial(setting: Setting) -> None:
    crm = setting.org()
    crm.login()
    assert [record.id for page in crm.select(QUEUE) for record in page] == list(LEADS)
    newest = Selection("Lead", (), ids=LEADS, newest_first=True, limit=2)
    assert [record.id for page in crm.select(newest) for record in page] == [LEADS[2], LEADS[1]]
    answers = crm.update("Lead", [Update(lead, {"Phone": "+1 415 555 0100"}) for lead in (*LEADS, GONE)])
    assert [_shown(answer) for answer in answers] == [
        None,
        (ErrorClass.LOCKED, "UNABLE_TO_LOCK_ROW", ()),
        (ErrorClass.ROW, "FIELD_CUSTOM_VALIDATION_EXCEPTION", ("Phone",)),
        (ErrorClass.MOVED, "ENTITY_IS_DELETED", ()),
    ]
    found = crm.read("Lead", [GONE, MERGED, LEADS[0]], ["Phone"])
    assert found[GONE] is None
    merged, first = found[MERGED], found[LEADS[0]]
    assert merged is not None
    assert merged.moved_to == ("Lead", LEADS[0])
    assert first is not None
    assert first.values["Phone"] == "+1 415 555 0100"


def arrange_partial(sim: Simulator) -> None:
    leads(sim)
    sim.salesforce.org.lock(LEADS[1])
    code = "FIELD_CUSTOM_VALIDATION_EXCEPTION"
    spoil(sim, "update_many", "row_error", LEADS[2], code=code, message="Call us first", fields=["Phone"])


def rate_limited(setting: Setting) -> None:
    crm = setting.org()
    crm.login()
    assert len([record for page in crm.select(QUEUE) for record in page]) == 3  # after two refusals that pass
    assert len(setting.slept) == 2
    with pytest.raises(QuotaError, match="daily request quota is used up"):
        crm.describe("Contact")
    assert [len(page) for _ in range(2) for page in crm.select(QUEUE)] == [3, 3]
    with pytest.raises(QuotaError, match="8 of 10"):
        list(crm.select(QUEUE))


def arrange_rate_limited(sim: Simulator) -> None:
    leads(sim)
    sim.salesforce.org.daily_limit = 10
    sim.salesforce.org.daily_used = 4
    concurrent = "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
    spoil(sim, "query", "status", status=429, retry_after=4)
    spoil(sim, "query", "status", status=403, errorCode="REQUEST_LIMIT_EXCEEDED", message=concurrent)
    total = "TotalRequests Limit exceeded."
    spoil(sim, "describe", "status", status=403, errorCode="REQUEST_LIMIT_EXCEEDED", message=total)


def refused(setting: Setting) -> None:
    with pytest.raises(ConfigurationError, match="SALESFORCE_CLIENT_SECRET"):
        setting.org("wrong").login()
    with pytest.raises(ConfigurationError, match="SALESFORCE_API_VERSION"):
        setting.org(version="20.0").login()
    crm = setting.org()
    crm.login()
    with pytest.raises(ConfigurationError, match="Nonsense__c"):
        crm.check_condition("Lead", "Nonsense__c = 1")
    with pytest.raises(ConfigurationError, match="permission set"):
        crm.read("Lead", [LEADS[0]], ["Email"])
    with pytest.raises(ConfigurationError, match="Nonsense__c"):
        crm.describe("Nonsense__c")
    (answer,) = crm.update("Lead", [Update(LEADS[0], {"Nonsense__c": "1"})])
    assert _shown(answer) == (ErrorClass.MAPPING, "INVALID_FIELD", ())


def arrange_refused(sim: Simulator) -> None:
    leads(sim)
    spoil(sim, "retrieve_many", "status", status=403, errorCode="INSUFFICIENT_ACCESS", message="no access")


def broken(setting: Setting) -> None:
    crm = setting.org()
    crm.login()  # a maintenance page at the token endpoint first
    for _ in ("truncated", "a page"):
        with pytest.raises(PassingError):
            crm.update("Lead", [Update(LEADS[0], {"Phone": "+1 415 555 0100"})])
    assert crm.update("Lead", [Update(LEADS[1], {"Phone": "+1 415 555 0101"})]) == [None]  # with an expired session
    assert len(setting.slept) == 1
    with pytest.raises(DownError, match="cannot be read"):
        crm.describe("Lead")


def arrange_broken(sim: Simulator) -> None:
    leads(sim)
    spoil(sim, "token", "html", status=503)
    spoil(sim, "update_many", "truncated")
    spoil(sim, "update_many", "html", status=503)
    spoil(sim, "update_many", "expire_token")
    spoil(sim, "describe", "status", status=200, errorCode="NOT_A_DESCRIPTION")


SCENES = (
    Scene("salesforce", "success", success, leads, "no credits, some API requests, and one Lead's Phone is changed"),
    Scene("salesforce", "partial", partial, arrange_partial),
    Scene("salesforce", "rate_limited", rate_limited, arrange_rate_limited),
    Scene("salesforce", "refused", refused, arrange_refused),
    Scene("salesforce", "broken", broken, arrange_broken),
)
