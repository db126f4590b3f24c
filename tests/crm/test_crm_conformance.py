"""Salesforce passes the suite that is shipped for every CRM."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import ClassVar, Self

import pytest
from starlette.types import Receive, Scope, Send

from connector.core.model import FieldValue
from connector.crm.interface import Crm, ErrorClass
from connector.crm.registry import CRMS
from connector.crm.salesforce import Login, site
from connector.crm.salesforce.client import Client
from connector.crm.salesforce.site import SalesforceCrm
from connector.simulator.clock import SimClock
from connector.simulator.faults import Fault, Faults
from connector.simulator.hosting import Hosting
from connector.simulator.salesforce import SalesforceSite
from connector.testing.crm_kit import CrmKit
from connector.testing.crm_suite import CrmSuite


class SalesforceKit(CrmKit):
    kind, follows = "Lead", "Contact"
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

    def settle(self) -> None:
        self._org.clock.advance(60)

    def reject_in_jobs(self, record_id: str, code: str, *fields: str) -> None:
        params = {"code": code, "message": "Email: ada@example.com is no good", "fields": list(fields)}
        self._faults.arm(Fault("salesforce", "ingest_rows", "row_error", subject=record_id, params=params))

    def restrict(self, field: str, *words: str) -> None:
        self._org.restrict_picklist("Lead", field, words)

    @contextmanager
    def small(self, *, page: int | None = None, ids: int | None = None) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for name, size in (("PAGE", page), ("IDS_PER_QUERY", ids)):
                if size is not None:
                    patch.setattr(site, name, size)
            yield

    def equals(self, field: str, value: str) -> str:
        return f"{field} = '{value}'"


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


@pytest.fixture(scope="module")
def host() -> Iterator[CrmHost]:
    with CrmHost() as host:
        yield host


class TestSalesforce(CrmSuite):
    @pytest.fixture
    def kit(self, host: CrmHost) -> Iterator[CrmKit]:
        kit = SalesforceKit(host)
        yield kit
        kit.close()


def test_every_crm_of_this_package_is_tried() -> None:
    assert set(CRMS) == {"salesforce"}
