"""Plain simple-salesforce against the simulated Salesforce.

The library builds every address with https, and a login address from the org's domain. An adapter of its session only
sends these two, `https://HOST` of the simulator and of the domain, to the simulator's http port.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import SalesforceMalformedRequest

from connector.simulator.clock import SimClock
from connector.simulator.server import Simulator

START = 1_795_168_800.0
DOMAIN = "https://acme.my.salesforce.com"


class SpeaksHttp(HTTPAdapter):
    """Sends https addresses of the simulator to its http port."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:  # noqa: ANN401 as the base
        """Change only the scheme."""
        secure = self._url.replace("http://", "https://")
        request.url = str(request.url).replace(secure, self._url).replace(DOMAIN, self._url)
        return super().send(request, *args, **kwargs)


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator(SimClock(source=lambda: START)) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def client(simulator: Simulator) -> Iterator[Salesforce]:
    url = simulator.start().salesforce
    with requests.Session() as session:
        session.trust_env = False
        session.mount("https://", SpeaksHttp(url))
        yield Salesforce(
            consumer_key="sim-client-id",
            consumer_secret="sim-client-secret",
            domain="acme.my",
            session=session,
            version="67.0",
        )


def lead(simulator: Simulator, **values: object) -> str:
    return simulator.salesforce.org.insert("Lead", {"LastName": "Okafor", "Company": "Example Ltd", **values})


def test_the_login_leads_back_to_the_simulator(client: Salesforce) -> None:
    assert client.sf_instance.startswith("127.0.0.1:")


def test_queries_follow_relationships(client: Salesforce, simulator: Simulator) -> None:
    partner = simulator.salesforce.org.add_record_type("Lead", "Partner_Lead")
    one = lead(simulator, RecordTypeId=partner)
    query = (
        "SELECT Id, Owner.Name, RecordType.DeveloperName FROM Lead "
        "WHERE RecordType.DeveloperName = 'Partner_Lead' AND Owner.Name LIKE 'Robin%' ORDER BY Owner.Name"
    )
    (found,) = client.query(query)["records"]
    assert found["Id"] == one
    assert found["Owner"]["attributes"]["type"] == "User"
    assert (found["Owner"]["Name"], found["RecordType"]["DeveloperName"]) == ("Robin Owner", "Partner_Lead")


def test_collections_and_retrieve(client: Salesforce, simulator: Simulator) -> None:
    first, second = lead(simulator), lead(simulator)
    records = [{"attributes": {"type": "Lead"}, "id": one, "Phone": "+1 202 555 0101"} for one in (first, second)]
    answer = client.restful("composite/sobjects", method="PATCH", json={"allOrNone": False, "records": records})
    assert [row["success"] for row in answer or []] == [True, True]
    listed = client.restful("composite/sobjects/Lead", {"ids": f"{first},{second[:15]},x", "fields": "Id,Phone"})
    assert [row and row["Phone"] for row in listed or []] == ["+1 202 555 0101", "+1 202 555 0101", None]
    assert client.Lead.get(first)["Phone"] == "+1 202 555 0101"  # type: ignore[operator]  # the library types it as str


def test_describe_and_addresses(client: Salesforce, simulator: Simulator) -> None:
    fields = {field["name"]: field for field in client.Lead.describe()["fields"]}  # type: ignore[operator]  # as above
    assert (fields["Address"]["type"], fields["OwnerId"]["referenceTo"]) == ("address", ["Group", "User"])
    one = lead(simulator, City="Utrecht", PostalCode="3511")
    found = client.query(f"SELECT Address FROM Lead WHERE Id = '{one}'")["records"][0]["Address"]  # noqa: S608 own id
    assert (found["city"], found["postalCode"], found["street"]) == ("Utrecht", "3511", None)


@pytest.mark.parametrize(
    ("query", "limit"),
    [
        ("SELECT COUNT(Id) FROM Lead", "the function COUNT in a query"),
        ("SELECT Id, (SELECT Id FROM Tasks) FROM Lead", "a subquery in a query"),
        ("SELECT Id FROM Opportunity", "the object Opportunity"),
    ],
)
def test_a_limit_of_the_simulator(client: Salesforce, query: str, limit: str) -> None:
    with pytest.raises(SalesforceMalformedRequest, match="SIMULATOR_LIMIT") as caught:
        client.query(query)
    assert f"a limit of the simulator, not of Salesforce: it does not support {limit}" in str(caught.value)


@pytest.mark.parametrize(("method", "path"), [("POST", "composite"), ("DELETE", "sobjects/Lead/x")])
def test_a_resource_beyond_the_simulator(client: Salesforce, method: str, path: str) -> None:
    with pytest.raises(SalesforceMalformedRequest, match=f"does not support {method} /services/data/v67.0/{path}"):
        client.restful(path, method=method)
