"""The people and events of a simulated world: facts that do not change while a site runs.

All names are invented, all emails are at example.com, and all phones are in ranges reserved for fiction. The classes
refuse real mail domains, so that no demo or test can contain a real person's data.
"""

import re
from dataclasses import dataclass

MAIL_DOMAIN = "@example.com"
MEMBER_ID = re.compile(r"AC[a-z]AA[A-Za-z0-9_-]{5,}")


@dataclass(frozen=True)
class SimEvent:
    """One trade event in the vendor's catalogue.

    Attributes:
        id: the vendor's catalogue number; since vendor contract 0.26.0 it differs from `event_id`.
        event_id: the number that requests should send.
        name: its name.
        date_start: first day, YYYY-MM-DD.
        date_end: last day, YYYY-MM-DD.
        city: where it takes place.
        country: full English name.
        venue: hall or fair ground, if known.
        exhibitor_count: the number of exhibiting companies.
        has_visitors: whether the vendor holds visitor data.
    """

    id: str
    event_id: str
    name: str
    date_start: str
    date_end: str
    city: str
    country: str
    venue: str | None = None
    exhibitor_count: int = 0
    has_visitors: bool = False


@dataclass(frozen=True)
class SimPerson:
    """One person, and the data that each vendor would find about them.

    Attributes:
        personnel_id: Lensmor's id, decimal digits.
        full_name: the name as the vendor shows it.
        title: job title.
        company: employer's name.
        linkedin_name: the part after `/in/`, percent-decoded and in lower case; None if the vendor has none.
        event_ids: the `event_id` of each event that the person attends.
        email: the result of a Lensmor email unlock; None if it finds nothing.
        phone: the result of a Lensmor phone unlock; None if it finds nothing.
        work_email: the result of a Salesfinity lookup of type `work`; None for `not-found`.
        personal_email: the result of a Salesfinity lookup of type `personal`; None for `not-found`.
        department: the vendor's label, such as `operations`.
        seniority: the vendor's label, such as `head`.
        source_types: the vendor's sources for the person: `exhibitor`, `social`, `visitors`.
    """

    personnel_id: str
    full_name: str
    title: str | None = None
    company: str | None = None
    linkedin_name: str | None = None
    event_ids: tuple[str, ...] = ()
    email: str | None = None
    phone: str | None = None
    work_email: str | None = None
    personal_email: str | None = None
    department: str | None = None
    seniority: str | None = None
    source_types: tuple[str, ...] = ("exhibitor",)

    def __post_init__(self) -> None:
        """Refuse facts that break the rules of the simulated world.

        Raises:
            ValueError: an id that is not digits, an unnormalised LinkedIn name or a real mail domain.
        """
        if not is_digits(self.personnel_id):
            raise ValueError(f"personnel_id must be decimal digits: {self.personnel_id!r}")
        if self.linkedin_name is not None and self.linkedin_name != name_in_own_case(self.linkedin_name):
            raise ValueError(f"linkedin_name must be lower case: {self.linkedin_name!r}")
        for mail in (self.email, self.work_email, self.personal_email):
            if mail is not None and not mail.endswith(MAIL_DOMAIN):
                raise ValueError(f"invented emails must be at example.com: {mail!r}")


def name_in_own_case(name: str) -> str:
    """A LinkedIn name for comparison: public names in lower case, member ids (`ACoAA...`) unchanged."""
    return name if MEMBER_ID.fullmatch(name) else name.lower()


def is_digits(text: str) -> bool:
    """Whether `text` is one or more ASCII digits, the form of the contract's `PersonnelId`."""
    return text.isascii() and text.isdigit()
