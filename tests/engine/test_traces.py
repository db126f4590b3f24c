"""A run is one span; its stages are children, and every request belongs to a stage, whichever thread sends it.

The first tests use an observer of their own, so that they need no OpenTelemetry; the last ones use its SDK.
"""

import os
import re
from collections.abc import Iterator

import pytest
from harness import Harness, World
from service_harness import ServiceHarness
from trace_recorder import Recorder

from connector.core.telemetry import (
    ATTEMPTS,
    EXIT_CODE,
    MAPPINGS,
    OPERATION,
    RUN_ID,
    STAGE,
    STATE,
    STATUS,
    SYSTEM,
    Figure,
    observed_by,
)
from connector.engine.undo import undo

STAGES = ["recover", "select", "buy", "write", "classify", "close"]
PRIVATE = re.compile(r"@|https?:|linkedin|\+1|\d{5}(?!T)", re.IGNORECASE)


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    found = Recorder()
    with observed_by(found):
        yield found


def lookups(world: World, count: int) -> None:
    """Flagged Leads, half of them with only a LinkedIn address."""
    for number in range(count):
        world.lead(world.person(), **({"Lensmor_Personnel_Id__c": None} if number % 2 else {}))


def test_one_run_is_one_span_with_its_stages_and_requests(world: World, harness: Harness, recorder: Recorder) -> None:
    lookups(world, 4)
    report = harness.sync()
    (run,) = recorder.runs()
    assert run.attributes == {
        RUN_ID: report.run_id,
        "connector.command": "sync",
        MAPPINGS: ("lead",),
        STATE: "finished",
        EXIT_CODE: 0,
    }
    stages = [one for one in recorder.spans if STAGE in one.attributes]
    assert [one.attributes[STAGE] for one in stages] == STAGES
    assert all(one.parent is run for one in stages)
    requests = [one for one in recorder.within(run) if SYSTEM in one.attributes]
    sent = {(one.attributes[SYSTEM], one.attributes[OPERATION]) for one in requests}
    assert {("lensmor", "unlock work_email"), ("lensmor", "look up person"), ("salesforce", "writing records")} <= sent
    assert all(one.parent in stages for one in requests if one.attributes[OPERATION] != "logging in")
    assert all(one.attributes[ATTEMPTS] >= 1 and one.attributes[STATUS] in {200, 201, 202} for one in requests)
    assert len([one for one in recorder.spans if one.name == "lensmor look up person"]) == 2


def test_no_span_or_figure_has_anything_about_a_person(world: World, harness: Harness, recorder: Recorder) -> None:
    lookups(world, 4)
    world.arm("lensmor", "getPersonnelProfile", "status", times=2, status=500)
    harness.sync()
    texts = [str(value) for one in recorder.spans for name, value in one.attributes.items() if name != RUN_ID]
    texts += [one.name for one in recorder.spans] + [str(found) for *_, found in recorder.figures]
    assert len(texts) > 50
    assert [text for text in texts if PRIVATE.search(text)] == []


def test_figures_of_a_run(world: World, harness: Harness, recorder: Recorder) -> None:
    lookups(world, 2)
    report = harness.sync()
    sums = {(one, *map(str, found.values())): amount for one, amount, found in recorder.figures}
    assert sums[Figure.CREDITS_CHARGED, "lensmor"] == report.credits["lensmor"].charged
    assert sums[Figure.CHANNEL_OUTCOMES, "phone", "delivered"] == 2
    assert (Figure.RUN_SECONDS, "sync", "finished", "0") in sums
    requests = [found for one, _, found in recorder.figures if one is Figure.REQUEST_SECONDS]
    assert len(requests) == len([one for one in recorder.spans if SYSTEM in one.attributes])


def test_requests_of_the_trigger_api_and_undo_are_runs(world: World, harness: Harness, recorder: Recorder) -> None:
    record_id = world.lead(world.person(), Enrichment_Requested__c=False)
    service = ServiceHarness(harness)
    service.ask(record_id)
    service.work()
    (triggered,) = recorder.runs()
    assert triggered.attributes["connector.command"] == "trigger"
    with harness.services() as services, services.ledger.hold_run_lock():
        undo(services, triggered.attributes[RUN_ID])
    _, undone = recorder.runs()
    assert (undone.attributes["connector.command"], undone.attributes[MAPPINGS]) == ("undo", ())
    assert [one.attributes[STAGE] for one in recorder.spans if one.parent is undone] == ["restore"]


def test_an_error_is_shown_by_its_type(world: World, harness: Harness, recorder: Recorder) -> None:
    lookups(world, 1)
    world.arm("lensmor", "submitEmailUnlock", "drop_after")
    harness.wait_s = 60
    harness.sync()
    (lost,) = [one for one in recorder.spans if one.failed and one.attributes.get(OPERATION) == "unlock work_email"]
    assert (lost.failed, lost.attributes[ATTEMPTS]) == ("LostAnswerError", 1)
    assert STATUS not in lost.attributes


# -- with the SDK -------------------------------------------------------------------------------------------------


def test_open_telemetry_gets_the_same_tree(world: World, harness: Harness) -> None:
    pytest.importorskip("opentelemetry.sdk")
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from connector.net.otel import OtelTelemetry

    lookups(world, 4)
    spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
    telemetry = OtelTelemetry(SimpleSpanProcessor(spans), reader)
    with observed_by(telemetry):
        report = harness.sync()
    found = {one.context.span_id: one for one in spans.get_finished_spans() if one.context is not None}
    (run,) = [one for one in found.values() if one.name == "run"]
    stages = [one for one in found.values() if one.name.startswith("stage ")]
    assert sorted(one.name.removeprefix("stage ") for one in stages) == sorted(STAGES)
    assert {one.parent.span_id for one in stages if one.parent} == {run.context.span_id}
    for one in found.values():
        in_run = one.context.trace_id == run.context.trace_id
        assert (one.attributes or {}).get(RUN_ID) == (report.run_id if in_run else None)
        assert in_run or one.name.startswith("salesforce ")  # the check before the run
    requests = [one for one in found.values() if SYSTEM in (one.attributes or {}) and one.parent is not None]
    assert {one.name for one in requests} >= {"lensmor unlock phone", "lensmor look up person"}
    assert {one.kind.name for one in requests} == {"CLIENT"}
    texts = [
        str(value) for one in found.values() for value in (one.attributes or {}).values() if value != report.run_id
    ]
    assert [text for text in texts if PRIVATE.search(text)] == []
    assert [event for one in found.values() for event in one.events] == []
    data = reader.get_metrics_data()
    assert data is not None
    names = {metric.name for part in data.resource_metrics for scope in part.scope_metrics for metric in scope.metrics}
    assert names == {figure.value for figure in Figure}
    telemetry.end()


def test_the_service_has_a_name_unless_the_environment_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("opentelemetry.sdk")
    from connector.net import otel

    monkeypatch.delenv("OTEL_SERVICE_NAME", raising=False)
    monkeypatch.delenv("OTEL_RESOURCE_ATTRIBUTES", raising=False)
    assert otel._resource() == {"service.name": otel.SERVICE}
    for name, value in (("OTEL_SERVICE_NAME", "mine"), ("OTEL_RESOURCE_ATTRIBUTES", "a=b,service.name=mine")):
        monkeypatch.setitem(os.environ, name, value)
        assert otel._resource() == {}
        monkeypatch.delitem(os.environ, name)
