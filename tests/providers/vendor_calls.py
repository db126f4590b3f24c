"""Every call of every vendor client, as data, so that each test of errors can go through all of them."""

from collections.abc import Callable
from dataclasses import dataclass

from persons import link, pid, pids
from vendor_harness import ADA, Vendors

from connector.core.errors import ConnectorError, DownError, LostAnswerError
from connector.core.model import Channel
from connector.providers.events import EventFilter
from connector.providers.http import VendorHttp

READ, PAID, REPEATABLE = "read", "paid", "repeatable"


@dataclass(frozen=True)
class Call:
    """One method of a client.

    Attributes:
        name: for the test's id.
        site: whose.
        operation: the route that it asks, as the contract calls it.
        kind: free to repeat, paid, or paid and documented as idempotent.
        do: makes the call over a connection.
    """

    name: str
    site: str
    operation: str
    kind: str
    do: Callable[[Vendors, VendorHttp], object]

    @property
    def without_answer(self) -> type[ConnectorError]:
        """What it raises when it may have taken effect and nobody can tell."""
        return DownError if self.kind == READ else LostAnswerError

    def over(self, vendors: Vendors, http: VendorHttp | None = None) -> object:
        """Make the call, over a connection of its own unless one is given."""
        return self.do(vendors, http or vendors.http(self.site))

    def __str__(self) -> str:
        return f"{self.site}-{self.name}"


CALLS = (
    Call("balance", "lensmor", "getCreditsBalance", READ, lambda v, h: v.lensmor(h).balance()),
    Call(
        "submit-email",
        "lensmor",
        "submitEmailUnlock",
        PAID,
        lambda v, h: v.lensmor(h).submit(Channel.WORK_EMAIL, pids(["70011"]), "52001", "attempt-1"),
    ),
    Call(
        "submit-phone",
        "lensmor",
        "submitPhoneUnlock",
        PAID,
        lambda v, h: v.lensmor(h).submit(Channel.PHONE, pids(["70011"]), "52001", "attempt-1"),
    ),
    Call(
        "email-task",
        "lensmor",
        "getEmailUnlockTask",
        READ,
        lambda v, h: v.lensmor(h).read_task(Channel.WORK_EMAIL, v.tasks["email"], pids(["70011"])),
    ),
    Call(
        "phone-task",
        "lensmor",
        "getPhoneUnlockTask",
        READ,
        lambda v, h: v.lensmor(h).read_task(Channel.PHONE, v.tasks["phone"], pids(["70011"])),
    ),
    Call("person", "lensmor", "getPersonnelProfile", READ, lambda v, h: v.lensmor(h).read_person(pid("70011"))),
    Call("linkedin", "lensmor", "findPersonByLinkedin", READ, lambda v, h: v.lensmor(h).resolve_identity(link(ADA))),
    Call("events-of", "lensmor", "listPersonnelEvents", READ, lambda v, h: v.lensmor(h).grouping_keys_of(pid("70011"))),
    Call("search", "lensmor", "listEvents", READ, lambda v, h: v.events(h).search(EventFilter("expo"))),
    Call("preview", "lensmor", "getEvent", READ, lambda v, h: v.events(h).preview("52001")),
    Call("preview-list", "lensmor", "listPersonnel", READ, lambda v, h: v.events(h).preview("52001")),
    Call("unlock-event", "lensmor", "unlockEvent", REPEATABLE, lambda v, h: v.events(h).unlock("52001")),
    Call("balance", "salesfinity", "getEnrichmentCredits", READ, lambda v, h: v.salesfinity(h).balance()),
    Call(
        "submit",
        "salesfinity",
        "requestEmailEnrichment",
        PAID,
        lambda v, h: v.salesfinity(h).submit(Channel.WORK_EMAIL, [link(ADA)], None, "attempt-1"),
    ),
    Call(
        "lookup",
        "salesfinity",
        "getEmailEnrichment",
        READ,
        lambda v, h: v.salesfinity(h).read_task(Channel.WORK_EMAIL, v.tasks["lookup"], [link(ADA)]),
    ),
)
FREE = tuple(call for call in CALLS if call.kind != PAID)
PURCHASES = tuple(call for call in CALLS if call.kind == PAID)
