"""Health, readiness and metrics for operators: without login and without personal data."""

import re
from collections.abc import Iterator

import httpx
import ledger_harness_nearby  # noqa: F401 makes ledger_harness importable
import pytest
import sqlalchemy as sa
from ledger_harness import START, LedgerHarness
from persons import pid
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from server_harness import ASK, BEARER, MESSAGES, SECRET, TOKEN, ServerHarness, error_of, lead, soon
from soap_letters import letter, note

from connector.core.model import Channel
from connector.core.states import RunState
from connector.store import tables as t

pytest_plugins = ("server_fixtures",)
ROUTES = {
    "/v1/enrichments",
    "/v1/enrichments/{request_id}",
    "/v1/salesforce/outbound-messages/{secret}",
    "/v1/callbacks/{provider}/{token}",
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "other",
}


def lose(server: ServerHarness) -> None:
    """Replace the ledger's database by an empty one, as if its file were lost."""
    server.ledger.close()
    for path in server.path.parent.glob("connector.db*"):
        path.unlink()


def test_alive_without_a_ledger(server: ServerHarness) -> None:
    lose(server)
    server.alive = False
    response = server.client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "alive"})


def test_ready_with_ledger_and_driver(server: ServerHarness) -> None:
    response = server.client.get("/readyz")
    assert (response.status_code, response.json()) == (200, {"status": "ready"})


def is_not_ready(response: httpx.Response) -> bool:
    return (response.status_code, response.json()) == (503, {"status": "not ready"})


def test_not_ready_without_the_driver(server: ServerHarness) -> None:
    server.alive = False
    assert is_not_ready(server.client.get("/readyz"))
    server.alive = True
    assert server.client.get("/readyz").status_code == 200


def test_not_ready_without_the_ledger(server: ServerHarness) -> None:
    lose(server)
    assert is_not_ready(server.client.get("/readyz"))


def test_not_ready_with_a_damaged_ledger(server: ServerHarness) -> None:
    server.ledger.close()
    server.path.write_bytes(b"Zebra7Quagga" * 1000)
    assert is_not_ready(server.client.get("/readyz"))


def test_head_requests_are_answered_without_a_body(server: ServerHarness) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json"):
        response = server.client.head(path)
        assert (response.status_code, response.content) == (200, b"")


# -- figures ----------------------------------------------------------------------------------------------------


def families(server: ServerHarness) -> dict[str, Metric]:
    response = server.client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {found.name: found for found in text_string_to_metric_families(response.text)}


def samples(server: ServerHarness, name: str) -> dict[tuple[str, ...], float]:
    """The values of a metric by their labels."""
    return {
        tuple(one.labels.values()): one.value for one in families(server)[name].samples if one.name.startswith(name)
    }


def answered(server: ServerHarness) -> dict[tuple[str, str], float]:
    found = families(server)["connector_http_requests"].samples
    return {(one.labels["route"], one.labels["status"]): one.value for one in found if one.name.endswith("_total")}


def test_metrics_of_an_empty_ledger(server: ServerHarness) -> None:
    found = families(server)
    assert found["connector_open_records"].samples[0].value == 0
    assert found["connector_requested_records"].samples == []
    assert found["connector_vendor_task_seconds"].samples == []
    assert found["connector_last_run_started_timestamp_seconds"].samples == []


def test_metrics_of_requests_purchases_and_credits(server: ServerHarness) -> None:
    server.ask(lead(1), lead(2), request_id="flow-1")
    server.execute(sa.update(t.request_item).where(t.request_item.c.id == 1).values(state="done", outcome="delivered"))
    stored = LedgerHarness(server.ledger)
    stored.plan("70011", "70012")
    batch = stored.batch()
    stored.accept(batch)
    stored.finalize(batch.purchases[pid("70011")])
    assert samples(server, "connector_requested_records") == {("waiting",): 1}
    assert samples(server, "connector_open_purchases") == {("lensmor", "submitted"): 1}
    assert samples(server, "connector_open_records") == {(): 2}
    assert samples(server, "connector_credits_held") == {("lensmor",): 15}
    assert samples(server, "connector_credits_charged") == {("lensmor",): 15}
    assert samples(server, "connector_credits_reversed") == {("lensmor",): 0}


COUNTERS = {"credits_charged", "credits_reversed", "channel_outcomes", "http_requests"}


def test_every_counter_has_the_counter_type_and_name(server: ServerHarness) -> None:
    stored = LedgerHarness(server.ledger)
    stored.plan("70011")
    stored.accept(stored.batch())
    stored.finalize(1)
    assert soon(lambda: "connector_http_requests_total{" in server.client.get("/metrics").text)
    text = server.client.get("/metrics").text
    types = dict(re.findall(r"^# TYPE connector_(\w+) (\w+)$", text, re.MULTILINE))
    assert {name for name, kind in types.items() if kind == "counter"} == {f"{name}_total" for name in COUNTERS}
    assert {kind for name, kind in types.items() if not name.endswith(("_total", "_created"))} == {"gauge", "histogram"}
    assert {name for name, kind in types.items() if kind == "histogram"} == {"http_seconds", "vendor_task_seconds"}
    assert 'connector_credits_charged_total{provider="lensmor"} 15.0' in text


def test_metrics_of_runs_tasks_and_balances(server: ServerHarness) -> None:
    ledger, source = server.ledger, server.sources[0]
    run_id = ledger.runs.start("sync", ["lead"], START)
    ledger.runs.finish(run_id, RunState.FINISHED, {}, START, success=True)
    ledger.credits.observe(source.name, source.account, run_id, 9115, START, 0)
    ledger.task_times.add(source, Channel.PHONE, [(2.0, 7.5), (0.0, 0.5)])
    assert samples(server, "connector_last_success_timestamp_seconds") == {("lead",): START.timestamp()}
    assert samples(server, "connector_attention_records") == {("lead",): 0}
    assert samples(server, "connector_vendor_balance") == {("lensmor",): 9115}
    found = {
        (one.name.removeprefix("connector_vendor_task_seconds_"), one.labels.get("le", "")): one.value
        for one in families(server)["connector_vendor_task_seconds"].samples
    }
    assert found["bucket", "1.0"] == found["bucket", "5.0"] == 1
    assert found["bucket", "10.0"] == found["bucket", "+Inf"] == found["count", ""] == 2
    assert found["sum", ""] == 8


def test_metrics_have_the_start_of_the_last_run(server: ServerHarness) -> None:
    server.ledger.runs.start("sync", ["lead"], START)
    assert samples(server, "connector_last_run_started_timestamp_seconds") == {(): START.timestamp()}


def test_requests_are_counted_by_route_template(server: ServerHarness) -> None:
    server.ask(lead(1), request_id="flow-1")
    server.ask(lead(2), request_id="flow-1")
    server.look("flow-1")
    server.look("Zebra7Quagga")
    server.send(letter(note(1)))
    server.send(letter(note(1)), "Zebra7Quagga")
    server.call_back("Zebra7Quagga", {})
    server.client.get("/Zebra7Quagga?Zebra7Quagga")
    server.client.put(ASK)
    expected = {
        ("/v1/enrichments", "202"): 1,
        ("/v1/enrichments", "409"): 1,
        ("/v1/enrichments", "405"): 1,
        ("/v1/enrichments/{request_id}", "200"): 1,
        ("/v1/enrichments/{request_id}", "404"): 1,
        ("/v1/salesforce/outbound-messages/{secret}", "200"): 1,
        ("/v1/salesforce/outbound-messages/{secret}", "404"): 1,
        ("/v1/callbacks/{provider}/{token}", "404"): 1,
        ("other", "404"): 1,
    }
    assert soon(lambda: expected.items() <= answered(server).items())


def labels(server: ServerHarness) -> Iterator[tuple[str, str]]:
    for family in families(server).values():
        for sample in family.samples:
            yield from sample.labels.items()


def test_labels_contain_no_path_id_or_secret(server: ServerHarness) -> None:
    server.ask(lead(1), request_id="flow-1")
    server.look("flow-1")
    server.send(letter(note(1)))
    server.call_back(server.ledger.seal.address("no-such-attempt"), {"_id": "66f0c0ffee"})
    server.client.get("/a/path/of/nobody")
    assert soon(lambda: ("route", "other") in set(labels(server)))
    text = server.client.get("/metrics").text
    for word in (TOKEN, SECRET, lead(1), lead(1)[:15], "flow-1", "no-such-attempt", "66f0c0ffee", "nobody", "04l"):
        assert word not in text
    routes = {value for name, value in labels(server) if name == "route"}
    assert routes <= ROUTES
    others = {(name, value) for name, value in labels(server) if name not in {"route", "le"}}
    assert all(re.fullmatch(r"[a-z_]+|[0-9]{3}", value) for _, value in others), others


def test_metrics_without_a_ledger_are_refused(server: ServerHarness) -> None:
    lose(server)
    assert error_of(server.client.get("/metrics"), 503) == "the request could not be stored or read; send it again"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/openapi.json"])
def test_operation_routes_need_no_login_and_accept_only_get(server: ServerHarness, path: str) -> None:
    assert server.client.get(path).status_code == 200
    error_of(server.client.post(path, headers=BEARER), 405)


def test_unknown_routes_are_answered_in_json(server: ServerHarness) -> None:
    for path in ("/", "/v1", "/v1/", MESSAGES, "/v1/callbacks/salesfinity", "/metrics/x", "//healthz", "/docs"):
        assert error_of(server.client.get(f"{server.client.base_url}{path}"), 404) == "not found"
