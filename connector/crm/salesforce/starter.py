"""`connector init` for Salesforce: the login's questions, and proposals for the fields of Leads and Contacts."""

from collections.abc import Sequence
from functools import partial

from connector.core.errors import ConfigurationError
from connector.core.first_mapping import WantedKey
from connector.core.mapped_fields import WRITTEN, Use
from connector.core.spelling import did_you_mean
from connector.crm.interface import FieldInfo, ObjectInfo
from connector.crm.salesforce.field_rules import misfit, odd_target, why_never_editable
from connector.crm.salesforce.new_fields import ENDING, NEVER_CREATED, is_creatable
from connector.crm.starting import LoginQuestion, Presence, Proposal, Starter, Usual

_USUAL = {
    "select.flag": Usual(("Enrichment_Requested__c",), ("enrichment requested", "enrich request", "enrich")),
    "person.linkedin_url": Usual(
        ("LinkedIn_URL__c",), ("linkedin url", "linkedin profile", "linkedin"), "company account organization sales"
    ),
    "channels.work_email.field": Usual(("Email",)),
    "channels.work_email.empty_when": Usual(("EmailBouncedDate",)),
    "channels.work_email.opt_out": Usual(("HasOptedOutOfEmail",), ("email opt out",)),
    "channels.work_email.status": Usual(
        ("Email_Unlock_Status__c",), ("email unlock status", "email enrichment status")
    ),
    "channels.personal_email.field": Usual(("Personal_Email__c",), ("personal email", "private email")),
    "channels.personal_email.opt_out": Usual((), ("personal email opt out",)),
    "channels.personal_email.status": Usual((), ("personal email status",)),
    "channels.phone.field": Usual(("MobilePhone",)),
    "channels.phone.opt_out": Usual(("DoNotCall",), ("do not call",)),
    "channels.phone.status": Usual(("Phone_Unlock_Status__c",), ("phone unlock status", "phone enrichment status")),
    "stamp.enriched_at": Usual(("Enriched_At__c",), ("enriched at", "enriched date", "last enriched")),
    "stamp.source": Usual(("Enrichment_Source__c",), ("enrichment source",)),
    "stamp.error": Usual(("Enrichment_Error__c",), ("enrichment error",)),
}
# Fields of every Lead and Contact; a user without access to one does not see it.
_STANDARD = frozenset({"Email", "MobilePhone", "EmailBouncedDate", "HasOptedOutOfEmail", "DoNotCall"})
_NEW_NAMES = {
    "select.flag": "Enrichment_Requested__c",
    "person.linkedin_url": "LinkedIn_URL__c",
    "channels.work_email.status": "Email_Unlock_Status__c",
    "channels.personal_email.field": "Personal_Email__c",
    "channels.personal_email.status": "Personal_Email_Status__c",
    "channels.phone.status": "Phone_Unlock_Status__c",
    "stamp.source": "Enrichment_Source__c",
    "stamp.error": "Enrichment_Error__c",
}


class SalesforceStarter(Starter):
    """Leads and Contacts, by the client credentials login."""

    questions = (
        LoginQuestion("SALESFORCE_INSTANCE_URL", "My Domain address, such as https://acme.my.salesforce.com"),
        LoginQuestion("SALESFORCE_CLIENT_ID", "Consumer key of the External Client App"),
        LoginQuestion("SALESFORCE_CLIENT_SECRET", "Consumer secret of the External Client App", secret=True),
    )
    objects = ("Lead", "Contact")

    def condition(self, object_name: str) -> tuple[str, str]:
        """Converted Leads are read-only."""
        return ("IsConverted = false", "converted Leads cannot be edited") if object_name == "Lead" else ("", "")

    def propose(self, info: ObjectInfo, keys: Sequence[WantedKey]) -> tuple[Proposal, ...]:
        """By API name first, then by the words of name and label; the type must fit."""
        found: list[Proposal] = []
        for key in keys:
            taken = {one.name for one in found}
            free = [field for field in info.fields.values() if field.name not in taken]
            found.append(_proposal(info, key, _usual(key).best(free, partial(_fits, key))))
        return tuple(found)

    def chosen(self, info: ObjectInfo, key: WantedKey, name: str) -> Proposal:
        """By the same rules as `doctor`."""
        found = info.get(name)
        if found is None:
            if name in _STANDARD or (is_creatable(name) and key.use not in NEVER_CREATED):
                return _absent(key, name)
            hint = did_you_mean(name, [field.name for field in info.fields.values()])
            raise ConfigurationError(
                "; ".join(filter(None, (f"{info.name} has no field {name} that this user sees", hint)))
            )
        if found.name != name:
            raise ConfigurationError(f"write {found.name}, as Salesforce does, not {name}")
        problem = misfit(found, key.use) or _unusable(found, key)
        if problem:
            raise ConfigurationError(problem)
        return _present(key, found)


def _proposal(info: ObjectInfo, key: WantedKey, best: FieldInfo | None) -> Proposal:
    if best is not None:
        return _present(key, best)
    standard = next((name for name in _usual(key).names if name in _STANDARD), "")
    if standard and info.name in SalesforceStarter.objects and info.get(standard) is None:
        return _absent(key, standard)  # the user does not see it yet: leaving out an opt-out would be wrong
    name = _new_name(key)
    if key.is_created and info.get(name) is None:
        return _absent(key, name)
    return Proposal(key, "", Presence.LEFT_OUT)


def _present(key: WantedKey, field: FieldInfo) -> Proposal:
    may_use = key.use not in WRITTEN or field.updateable
    return Proposal(key, field.name, Presence.FOUND if may_use else Presence.NO_ACCESS, field.label)


def _absent(key: WantedKey, name: str) -> Proposal:
    return Proposal(key, name, Presence.NO_ACCESS if name in _STANDARD else Presence.NEW)


def _usual(key: WantedKey) -> Usual:
    known = _USUAL.get(key.text)
    if known is not None:
        return known
    new = _new_name(key)
    return Usual((new,), (" ".join(part.lower() for part in new.removesuffix(ENDING).split("_")),))


def _new_name(key: WantedKey) -> str:
    parts = [key.owner, *str(key.path[-1]).split("_")]
    return _NEW_NAMES.get(key.text) or "_".join(part.title() for part in parts if part) + ENDING


def _fits(key: WantedKey, field: FieldInfo) -> bool:
    return misfit(field, key.use) is None and not _unusable(field, key)


def _unusable(field: FieldInfo, key: WantedKey) -> str:
    """Why a field of a fitting type cannot serve a key; a missing permission is no reason."""
    if key.use not in WRITTEN:
        return ""
    never = why_never_editable(field)
    if never:
        return f"{field.name} is {never}: it can never be edited"
    odd = odd_target(field, key.use)
    return odd[0] if odd and (odd[1] or key.use not in {Use.EMAIL, Use.PHONE}) else ""
