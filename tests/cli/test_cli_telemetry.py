"""Commands export to a collector only if one is set and the extra is installed; nothing about it stops a run."""

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from trace_recorder import Recorder
from workspace import NEVER_SHOWN, Workspace

from connector.app.telemetry import ENDPOINT, MISSING
from connector.core.telemetry import OPERATION, SYSTEM, observed_by

pytest_plugins = ("cli_fixtures",)
CLOSED = "http://127.0.0.1:9"


class Collector:
    """Accepts everything that is exported."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        bodies = self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                bodies[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    made = Collector()
    monkeypatch.setenv(ENDPOINT, made.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
    yield made
    made.close()


def test_a_collector_gets_the_run_and_nothing_about_a_person(workspace: Workspace, collector: Collector) -> None:
    pytest.importorskip("opentelemetry.sdk")
    workspace.lead()
    ran = workspace.run("sync", "-m", "lead", "--json")
    assert ran.code == 0, ran.err
    assert collector.bodies.keys() == {"/v1/traces", "/v1/metrics"}
    spans = collector.bodies["/v1/traces"]
    for text in (ran.json["run_id"], "stage buy", "lensmor unlock phone", "crm-enrichment-connector"):
        assert text.encode() in spans
    assert b"connector.credits.charged" in collector.bodies["/v1/metrics"]
    everything = b"".join(collector.bodies.values())
    assert [text for text in (*NEVER_SHOWN, "linkedin", "/external/") if text.encode() in everything] == []


def test_a_collector_that_does_not_answer_stops_no_run(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("opentelemetry.sdk")
    monkeypatch.setenv(ENDPOINT, CLOSED)
    workspace.lead()
    began = time.monotonic()
    ran = workspace.run("sync", "-m", "lead")
    assert ran.code == 0
    assert "Transient" not in ran.err
    assert time.monotonic() - began < 30


def test_without_the_extra_a_note_says_so(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [one for one in sys.modules if one.startswith("opentelemetry.") or one == "connector.net.otel"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.setenv(ENDPOINT, CLOSED)
    workspace.lead()
    ran = workspace.run("sync", "-m", "lead")
    assert ran.code == 0
    assert MISSING in ran.err.splitlines()


def test_settings_that_the_sdk_refuses_stop_no_run(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("opentelemetry.sdk")
    from connector.net import otel

    def refuse() -> None:
        raise ValueError("soon is no number")

    monkeypatch.setattr(otel, "_exporters", refuse)
    monkeypatch.setenv(ENDPOINT, CLOSED)
    ran = workspace.run("sync", "-m", "lead")
    assert ran.code == 0
    assert f"nothing is exported to {ENDPOINT}: OpenTelemetry refuses its settings (ValueError)" in ran.err


def test_nothing_is_exported_without_a_collector(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENDPOINT, raising=False)
    monkeypatch.setitem(sys.modules, "connector.net.otel", None)  # an import would fail
    ran = workspace.run("sync", "-m", "lead")
    assert ran.code == 0
    assert ENDPOINT not in ran.err


def test_requests_of_all_threads_belong_to_the_run(workspace: Workspace) -> None:
    for number in range(6):
        workspace.lead(**({"Lensmor_Personnel_Id__c": None} if number % 2 else {}))
    recorder = Recorder()
    with observed_by(recorder):
        assert workspace.run("sync", "-m", "lead").code == 0
    (run,) = recorder.runs()
    (buying,) = [one for one in recorder.spans if one.name == "stage buy"]
    of_vendors = [one for one in recorder.spans if one.attributes.get(SYSTEM) == "lensmor"]
    names = Counter(one.attributes[OPERATION] for one in of_vendors)
    assert names["look up person"] == 3
    assert {"unlock phone", "read work_email task"} <= names.keys()
    assert [one.name for one in of_vendors if not one.is_within(run)] == []
    assert [one.name for one in of_vendors if "unlock" in one.name and one.parent is not buying] == []
