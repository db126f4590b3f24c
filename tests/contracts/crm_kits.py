"""Where each CRM is tried: its simulated org, and the hands of the people who work in it.

A second CRM adds one class here and one line in `KITS`; the suite itself stays as it is.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import ClassVar, Self

from starlette.types import Receive, Scope, Send

from connector.core.model import FieldValue
from connector.crm.interface import Crm, ErrorClass
from connector.crm.salesforce import Login, SalesforceCrm, site
from connector.crm.salesforce.client import Client
from connector.simulator.clock import SimClock
from connector.simulator.faults import Fault, Faults
from connector.simulator.hosting import Hosting
from connector.simulator.salesforce import SalesforceSite


class CrmKit(ABC):
    """One CRM before its simulated org, with a fresh world.

    Attributes:
        lead, contact: what the CRM calls the two kinds of records.
        email, phone, flag, word: fields of a lead: an email, a phone, a checkbox, and a text that may be asked for.
        good: a condition that is true for leads that were just made.
        bad: conditions that the CRM does not understand.
        escapes: conditions that would reach beyond their parentheses.
        troubles: by what they call for, error codes that a row may be rejected with.
        page_size, ids_size: the module and the name of its constant for the records of a page, and for the ids of a
            query.
    """

    lead: ClassVar[str]
    contact: ClassVar[str]
    email: ClassVar[str]
    phone: ClassVar[str]
    flag: ClassVar[str]
    word: ClassVar[str]
    good: ClassVar[str]
    bad: ClassVar[tuple[str, ...]]
    escapes: ClassVar[tuple[str, ...]]
    troubles: ClassVar[Mapping[ErrorClass, str]]
    page_size: ClassVar[tuple[object, str]]
    ids_size: ClassVar[tuple[object, str]]

    def __init__(self) -> None:
        self.slept: list[float] = []
        self._opened: list[Crm] = []

    @abstractmethod
    def new_crm(self) -> Crm:
        """A new client, not logged in."""

    @abstractmethod
    def add(self, **values: object) -> str:
        """A new lead, by its full id."""

    @abstractmethod
    def edit(self, record_id: str, **values: object) -> None:
        """Change a lead as a person does."""

    @abstractmethod
    def delete(self, record_id: str) -> None:
        """Delete a lead."""

    @abstractmethod
    def merge(self, winner: str, loser: str) -> None:
        """Merge one lead into another."""

    @abstractmethod
    def convert(self, record_id: str) -> str:
        """Make a contact of a lead; gives the contact's full id."""

    @abstractmethod
    def value(self, record_id: str, field: str) -> FieldValue:
        """What a lead's field holds."""

    @abstractmethod
    def writes(self, record_id: str) -> int:
        """How often the API changed a lead."""

    @abstractmethod
    def requests(self) -> int:
        """How many requests cost quota since the last call of this."""

    @abstractmethod
    def reject(self, record_id: str, code: str, *fields: str) -> None:
        """Let the next write of a lead be refused."""

    @abstractmethod
    def restrict(self, field: str, *words: str) -> None:
        """Let a field take these words only."""

    def crm(self) -> Crm:
        """A new client that has logged in."""
        crm = self.new_crm()
        crm.login()
        self._opened.append(crm)
        self.requests()
        return crm

    def close(self) -> None:
        for crm in self._opened:
            crm.close()


class SalesforceKit(CrmKit):
    lead, contact = "Lead", "Contact"
    email, phone, flag, word = "Email", "Phone", "Enrichment_Requested__c", "Enrichment__c"
    good = "IsConverted = false"
    bad = ("Nonsense__c = 1", "IsConverted =", "IsConverted = 'x'", "Id = 'no id'", "IsConverted = false LIMIT 1")
    escapes = ("IsConverted = false) OR (Id != null", "Email = 'a", "(Email = null", "")
    troubles: ClassVar = {
        ErrorClass.LOCKED: "UNABLE_TO_LOCK_ROW",
        ErrorClass.ROW: "FIELD_CUSTOM_VALIDATION_EXCEPTION",
        ErrorClass.MOVED: "ENTITY_IS_DELETED",
        ErrorClass.MAPPING: "INVALID_FIELD_FOR_INSERT_UPDATE",
        ErrorClass.ORG: "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE",
        ErrorClass.LIMIT: "LIMIT_EXCEEDED",
        ErrorClass.AUTOMATION: "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
    }

    page_size, ids_size = (site, "PAGE"), (site, "IDS_PER_QUERY")

    def __init__(self, host: "CrmHost") -> None:
        super().__init__()
        self._url = host.url
        self._faults = Faults()
        self._site = SalesforceSite(SimClock(), self._faults)
        host.site = self._site
        self._org = self._site.org
        self._counted = 0

    def new_crm(self) -> Crm:
        login = Login(self._url, client_id="sim-client-id", client_secret="sim-client-secret")
        return SalesforceCrm(Client(login, "67.0", 20, self.slept.append))

    def add(self, **values: object) -> str:
        return self._org.insert("Lead", {"LastName": "Okafor", "Company": "Example Ltd", **values})

    def edit(self, record_id: str, **values: object) -> None:
        self._site.org.clock.advance(2)  # a version is a time in whole seconds
        self._org.edit("Lead", record_id, values)

    def delete(self, record_id: str) -> None:
        self._org.delete("Lead", record_id)

    def merge(self, winner: str, loser: str) -> None:
        self._org.merge("Lead", winner, loser)

    def convert(self, record_id: str) -> str:
        return self._org.convert_lead(record_id)

    def value(self, record_id: str, field: str) -> FieldValue:
        return self._org.get("Lead", record_id)[field]

    def writes(self, record_id: str) -> int:
        return self._org.updates_count("Lead", record_id)

    def requests(self) -> int:
        before, self._counted = self._counted, self._org.daily_used
        return self._counted - before

    def reject(self, record_id: str, code: str, *fields: str) -> None:
        params = {"code": code, "message": "Email: ada@example.com is no good", "fields": list(fields)}
        self._faults.arm(Fault("salesforce", "update_many", "row_error", subject=record_id, params=params))

    def restrict(self, field: str, *words: str) -> None:
        self._org.restrict_picklist("Lead", field, words)


class CrmHost:
    """One server for all kits of a file; each kit puts a fresh org on it."""

    def __init__(self) -> None:
        self._hosting = Hosting({"org": self._serve})
        self.url = self._hosting.start()["org"]
        self.site: SalesforceSite | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hosting.stop()
        assert self._hosting.broken == []

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.site is not None
        await self.site.app(scope, receive, send)


KITS: Mapping[str, Callable[[CrmHost], CrmKit]] = {"salesforce": SalesforceKit}
