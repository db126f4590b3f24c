"""Each defect of simple-salesforce 1.12.10 that touches what we use, shown not to reach us.

Numbers are those of docs/salesforce.md, "Defects to work around". 3, 5, 6 and 7 are about Bulk, which is not used.
"""

import socket
import threading
from collections.abc import Callable, Iterator

import httpx
import pytest
from org_harness import Harness, OrgHost, Wire, token_answer

from connector.core.errors import DownError
from connector.crm.interface import Selection, Update
from connector.crm.salesforce import Login, site, transport
from connector.crm.salesforce.site import SalesforceCrm
from connector.crm.salesforce.tokens import TokenSource
from connector.crm.salesforce.transport import new_session

QUEUE = "005Sm0000000009IAA"


@pytest.fixture(scope="module")
def host() -> Iterator[OrgHost]:
    with OrgHost() as host:
        yield host


@pytest.fixture
def harness(host: OrgHost) -> Harness:
    return host.fresh()


def everything(crm: SalesforceCrm, selection: Selection) -> list[str]:
    return [record.id for page in crm.select(selection) for record in page]


# -- 1: extra headers vanish when the library refreshes its token ----------------------------------------------


@pytest.mark.parametrize("end", ["before the write", "at the write"])
def test_1_no_lead_is_reassigned_by_a_write_that_met_an_expired_token(harness: Harness, end: str) -> None:
    harness.org.assignment_rule_owner = QUEUE
    lead = harness.lead()
    crm = harness.ready()
    if end == "at the write":
        harness.arm("update_many", "expire_token")
    else:
        harness.site.expire_tokens()
    assert crm.update("Lead", [Update(lead, {"Phone": "+1 415 555 0100"})]) == [None]
    assert (harness.count("update_many"), harness.count("token")) == (2, 1)
    record = harness.org.get("Lead", lead)
    assert record["Phone"] == "+1 415 555 0100"
    assert record["OwnerId"] == harness.org.owner_id


def test_1_the_constant_headers_are_on_every_request_even_on_the_repeated_one(harness: Harness) -> None:
    lead = harness.lead()
    crm = harness.ready()
    harness.arm("update_many", "expire_token")
    harness.arm("query", "drop_before")
    crm.update("Lead", [Update(lead, {"Phone": "1"})])
    everything(crm, Selection("Lead", ("Email",)))
    crm.read("Lead", [lead], ["Email"])
    data = [arrival for arrival in harness.arrivals if not arrival.is_login]
    assert len(data) == 6
    assert {arrival.headers.get("sforce-auto-assign") for arrival in data} == {"FALSE"}
    assert {arrival.headers.get("sforce-call-options") for arrival in data} == {"client=crm-enrichment-connector"}


# -- 2: object handles repeat a 401 without bound --------------------------------------------------------------


@pytest.mark.parametrize("operation", ["update_many", "query", "retrieve_many", "describe"])
def test_2_a_session_that_is_refused_again_and_again_ends(harness: Harness, operation: str) -> None:
    lead = harness.lead()
    crm = harness.ready()
    harness.arm_forever(operation, "expire_token")
    calls: dict[str, Callable[[], object]] = {
        "update_many": lambda: crm.update("Lead", [Update(lead, {"Phone": "1"})]),
        "query": lambda: everything(crm, Selection("Lead", ())),
        "retrieve_many": lambda: crm.read("Lead", [lead], []),
        "describe": lambda: crm.describe("Lead"),
    }
    if operation == "retrieve_many":
        crm.describe("Lead")
    with pytest.raises(DownError):
        calls[operation]()
    assert harness.count(operation) == 2
    assert harness.count("token") == 1


# -- 4: no time limit anywhere, the token request included; no connection retry -----------------------------------


def test_4_every_request_has_time_limits(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(request: httpx.Request) -> tuple[int, object]:
        url = str(request.url)
        if "oauth2" in url:
            return 200, token_answer()
        if "limits" in url:
            return 200, {"DailyApiRequests": {"Max": 100, "Remaining": 90}}
        if "describe" in url:
            return 200, {"fields": [{"name": "Id"}]}
        return 200, [None] if request.method == "POST" else {"records": [], "done": True}

    wire = Wire(answer)
    wire.install(monkeypatch)
    crm = harness.crm(harness.login(instance_url="https://acme.my.salesforce.com"))
    crm.login()
    crm.read("Lead", ["00QSm0000000001AAA"], ["Email"])
    everything(crm, Selection("Lead", ()))
    with pytest.raises(DownError):
        crm.update("Lead", [Update("00QSm0000000001AAA", {})])
    assert len(wire.sent) == 6
    usual, working = transport.TOTAL_S, transport.WORK_S
    waits = [request.extensions["timeout"]["read"] for request in wire.sent]
    assert waits == [usual, usual, usual, working, working, working]
    assert usual == transport.ANSWER_S == 30.0
    assert working > 120, "Salesforce itself ends a request after 120 seconds: its own words are worth waiting for"


@pytest.mark.parametrize("operation", ["token", "limits"])
def test_4_a_silent_org_is_not_waited_for_without_end(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    monkeypatch.setattr(transport, "TOTAL_S", 0.3)
    harness.arm(operation, "delay", seconds=1.0)
    harness.crm().login()
    assert (harness.count(operation), len(harness.slept)) == (2, 1)


def test_4_a_connection_that_does_not_open_is_tried_again_at_once(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect, failures = socket.create_connection, [OSError("refused"), TimeoutError("late")]

    def flaky(*args: object, **options: object) -> object:
        if failures:
            raise failures.pop()
        return connect(*args, **options)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr("socket.create_connection", flaky)
    harness.crm().login()
    assert failures == []
    assert harness.slept == []
    assert [arrival.is_login for arrival in harness.arrivals] == [True, False]


def test_4_an_answer_that_is_lost_is_not_repeated_below_our_own_count(harness: Harness) -> None:
    crm = harness.ready()
    harness.arm_forever("query", "drop_after")
    with pytest.raises(DownError):
        everything(crm, Selection("Lead", ()))
    assert harness.count("query") == 5
    assert len(harness.slept) == 4


# -- 8: a locator dies with the token that made it ----------------------------------------------------------------


def test_8_reading_goes_on_after_a_token_refresh_between_pages(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site, "PAGE", 100)
    leads = harness.leads(250)
    crm = harness.ready()
    read: list[str] = []
    for page in crm.select(Selection("Lead", ("Email",))):
        read += [record.id for record in page]
        harness.site.expire_tokens()
    assert read == leads
    assert harness.count("query_more") == 0
    assert harness.count("token") == 2


@pytest.mark.parametrize("newest_first", [False, True])
def test_8_pages_that_salesforce_cuts_short_are_followed_to_the_end(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, newest_first: bool
) -> None:
    """With wide rows Salesforce gives fewer than the query's LIMIT at a time and says `done: false`."""
    leads = harness.leads(450)
    harness.leads(1, DoNotCall=True)
    monkeypatch.setitem(transport.CONSTANT_HEADERS, "Sforce-Query-Options", "batchSize=200")
    crm = harness.ready()
    found = everything(crm, Selection("Lead", (), flag=("DoNotCall", False), newest_first=newest_first))
    assert found == sorted(leads, reverse=newest_first)
    assert harness.count("query_more") == 0


# -- 9: not safe for threads ----------------------------------------------------------------------------------------


def test_9_a_client_per_thread_survives_tokens_that_end_under_it(harness: Harness) -> None:
    leads = harness.leads(4)
    failures: list[BaseException] = []
    expiry = threading.Barrier(len(leads), action=harness.site.expire_tokens, timeout=10)

    def work(lead: str) -> None:
        try:
            crm = harness.crm()
            crm.login()
            for number in range(10):
                if number == 5:
                    expiry.wait()
                assert crm.update("Lead", [Update(lead, {"Phone": f"{lead}-{number}"})]) == [None]
                found = crm.read("Lead", [lead], ["Phone"])[lead]
                assert found is not None
                assert found.values["Phone"] == f"{lead}-{number}"
        except BaseException as error:  # noqa: BLE001 it must reach the test
            failures.append(error)

    threads = [threading.Thread(target=work, args=(lead,)) for lead in leads]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [harness.org.updates_count("Lead", lead) for lead in leads] == [10] * 4
    assert harness.count("token") == 8


def test_9_one_source_of_tokens_asks_once_for_many_threads(harness: Harness) -> None:
    session = new_session(harness.url)
    source = TokenSource(harness.login(), session)
    first = source.get()
    harness.site.expire_tokens()
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(source.get(stale=first))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    session.close()
    assert len(set(found)) == 1
    assert found[0] != first
    assert harness.count("token") == 2


# -- https is forced on every address ---------------------------------------------------------------------------------


def test_a_loopback_org_is_spoken_to_in_plain_http(harness: Harness) -> None:
    lead = harness.lead()
    crm = harness.ready()
    crm.read("Lead", [lead], ["Email"])
    assert harness.url.startswith("http://127.0.0.1:")
    assert [arrival.headers["host"] for arrival in harness.arrivals] == [harness.url.removeprefix("http://")] * 2


def test_no_other_address_is_ever_spoken_to_in_plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Wire(lambda _: (200, {}))
    wire.install(monkeypatch)
    session = new_session("http://127.0.0.1:80")
    for url in ("https://127.0.0.1:8080/a", "https://acme.my.salesforce.com/a", "https://127.0.0.1.example.com/a"):
        session.get(url)
    real = new_session("https://acme.my.salesforce.com")
    real.get("https://acme.my.salesforce.com/a")
    real.get("https://loopback.my.salesforce.com/a")
    assert {str(request.url).split(":", 1)[0] for request in wire.sent} == {"https"}


def test_the_environment_cannot_lead_a_session_elsewhere(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    harness.crm().login()
    assert len(harness.arrivals) == 2


def test_a_login_does_not_print_the_librarys_advice(harness: Harness, recwarn: pytest.WarningsRecorder) -> None:
    harness.arm("token", "status", status=400, errorCode="invalid_grant", message="user hasn't approved this consumer")
    with pytest.raises(Exception, match="pre-authorise"):
        harness.crm(Login(harness.url, client_id="sim-client-id", client_secret="sim-client-secret")).login()
    assert len(recwarn) == 0
