"""The cases of the demo: every kind of record that the connector can meet, with counts and spellings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from connector.simulator.people import SimPerson

LINKEDIN_SPELLINGS = (
    "https://www.linkedin.com/in/{name}",
    "http://www.linkedin.com/in/{name}",
    "linkedin.com/in/{name}",
    "www.linkedin.com/in/{name}/",
    "https://nl.linkedin.com/in/{name}",
    "https://www.linkedin.com/in/{name}/en",
    "https://www.linkedin.com/in/{name}/?originalSubdomain=de",
    "https://linkedin.com/in/{name}?utm_source=share&utm_medium=member_desktop",
    "HTTPS://WWW.LINKEDIN.COM/in/{upper}",
    "https://www.linkedin.com/in/{name}#about",
    "https://www.linkedin.com/in/{raw}",
    "https://de.linkedin.com/in/{small}/",
)
"""The spellings of a pasted profile address; `small` has lower-case percent-encoding, `raw` has none."""

OPTED_OUT = {"HasOptedOutOfEmail": True}
DO_NOT_CALL = {"DoNotCall": True}
BOUNCED = {"EmailBouncedDate": "2026-10-02T08:15:00.000+0000", "EmailBouncedReason": "550 mailbox unavailable"}


@dataclass(frozen=True)
class Case:
    """One kind of record.

    Attributes:
        name: its name in the facts.
        leads: the number of Leads.
        contacts: the number of Contacts.
        carries: the identifiers on the record: any of `id`, `event`, `catalogue_event` (the event's other number),
            `other_event` (one that the person does not attend), `link`, `letters` (an id that is not a number),
            `unknown_id`, `company_page`, `navigator`.
        finds: the values that vendors find, as in `Inventor.person`.
        at_lensmor: `listed`, `owned` (unlocked earlier), `failed` or `no_value` (the result of an unlock), `absent`.
        filled: fields that already have a value.
        values: further values of the record.
        other_script: whether names are not in Latin letters.
        shared: whether each Contact represents the same person as one of the Leads.
        flagged: whether enrichment is requested.
    """

    name: str
    leads: int
    contacts: int
    carries: frozenset[str]
    finds: str = "some"
    at_lensmor: str = "listed"
    filled: tuple[str, ...] = ()
    values: Mapping[str, object] = field(default_factory=dict)
    other_script: bool = False
    shared: bool = False
    flagged: bool = True


def _carrying(text: str) -> frozenset[str]:
    return frozenset(text.split())


FULL = _carrying("id event")
CASES = (
    Case("plain", 60, 24, FULL),
    Case("id_only", 30, 12, _carrying("id")),
    Case("linkedin_only", 35, 14, _carrying("link")),
    Case("id_and_linkedin", 20, 8, _carrying("id link catalogue_event")),
    Case("shared", 12, 12, FULL, shared=True),
    Case("other_script", 12, 4, FULL, other_script=True),
    Case("other_script_linkedin", 8, 4, _carrying("link"), other_script=True),
    Case("opted_out", 8, 4, FULL, values=OPTED_OUT),
    Case("do_not_call", 6, 3, FULL, values=DO_NOT_CALL),
    Case("filled_email", 8, 4, FULL, filled=("Email",)),
    Case("filled_mobile", 6, 3, FULL, filled=("MobilePhone",)),
    Case("filled_both", 4, 2, FULL, filled=("Email", "MobilePhone")),
    Case("bounced", 6, 3, FULL, filled=("Email",), values=BOUNCED),
    Case("no_identifier", 6, 2, frozenset(), at_lensmor="absent"),
    Case("id_with_letters", 3, 1, _carrying("letters"), at_lensmor="absent"),
    Case("company_page", 3, 1, _carrying("company_page"), at_lensmor="absent"),
    Case("sales_navigator", 3, 1, _carrying("navigator"), at_lensmor="absent"),
    Case("owned", 8, 3, FULL, finds="all", at_lensmor="owned"),
    Case("salesfinity_work", 5, 2, _carrying("link"), finds="work", at_lensmor="absent"),
    Case("salesfinity_personal", 3, 1, _carrying("link"), finds="personal", at_lensmor="absent"),
    Case("found_nowhere", 5, 1, _carrying("link"), finds="nothing", at_lensmor="absent"),
    Case("failed", 4, 1, FULL, at_lensmor="failed"),
    Case("no_value", 2, 0, FULL, at_lensmor="no_value"),
    Case("other_event", 2, 0, _carrying("id other_event")),
    Case("unknown_id", 1, 0, _carrying("unknown_id"), at_lensmor="absent"),
    Case("unflagged", 20, 10, FULL, flagged=False),
    Case("unflagged_filled", 10, 5, FULL, filled=("Email", "MobilePhone"), flagged=False),
)


def identifiers(case: Case, person: SimPerson, spelling: int, events: Mapping[str, str]) -> dict[str, str]:
    """The identifier fields of a record.

    Args:
        case: the case.
        person: the person that it represents.
        spelling: a running number that selects the spelling of the LinkedIn address.
        events: `event_id` -> catalogue `id` of every event.
    """
    number = person.personnel_id
    own = person.event_ids[0]
    foreign = next(event_id for event_id in events if event_id not in person.event_ids)
    known = {
        "id": ("Lensmor_Personnel_Id__c", number),
        "letters": ("Lensmor_Personnel_Id__c", f"P-{number}x"),
        "unknown_id": ("Lensmor_Personnel_Id__c", f"9{number}"),
        "event": ("Lensmor_Event_Id__c", own),
        "catalogue_event": ("Lensmor_Event_Id__c", events[own]),
        "other_event": ("Lensmor_Event_Id__c", foreign),
        "link": ("LinkedIn_URL__c", linkedin_url(person, spelling)),
        "company_page": ("LinkedIn_URL__c", f"https://www.linkedin.com/company/example-{number}/"),
        "navigator": ("LinkedIn_URL__c", f"https://www.linkedin.com/sales/lead/ACwAAExample{number},NAME_SEARCH,demo"),
    }
    return dict(known[word] for word in sorted(case.carries))


def linkedin_url(person: SimPerson, spelling: int) -> str:
    """A profile address in one of the spellings that people paste into a CRM."""
    raw = person.linkedin_name or ""
    name = quote(raw)
    forms = {"name": name, "raw": raw, "small": name.lower(), "upper": name.upper()}
    return LINKEDIN_SPELLINGS[spelling % len(LINKEDIN_SPELLINGS)].format(**forms)
