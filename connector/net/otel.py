"""Sends spans and figures to an OpenTelemetry collector. The only module that imports OpenTelemetry (extra `otel`).

The standard variables of its SDK apply, such as `OTEL_EXPORTER_OTLP_HEADERS` or `OTEL_SERVICE_NAME`; the protocol is
`http/protobuf` unless `OTEL_EXPORTER_OTLP_PROTOCOL` is `grpc`. A collector that fails is never an error of the work.
"""

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode

from connector.core.telemetry import DURATIONS, MAPPINGS, RUN_ID, SYSTEM, Attributes, Figure, Span, Value, observed_by

SERVICE = "crm-enrichment-connector"
END_WITHIN_S = 5.0  # how long a process waits at its end for the collector
_INHERITED = (RUN_ID, MAPPINGS)


class OtelSpan:
    """A span of OpenTelemetry."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def set(self, attributes: Attributes) -> None:
        """Add facts."""
        for name, value in attributes.items():
            self._span.set_attribute(name, value)

    def fail(self, kind: str) -> None:
        """Mark it as failed; the text of the error stays out."""
        self._span.set_attribute("error.type", kind)
        self._span.set_status(Status(StatusCode.ERROR, kind))


class OtelTelemetry:
    """Observes this process for a collector.

    Args:
        processor: receives ended spans.
        reader: reads the figures.
    """

    def __init__(self, processor: SpanProcessor, reader: MetricReader) -> None:
        resource = Resource.create(_resource())
        self._spans = TracerProvider(resource=resource)
        self._spans.add_span_processor(processor)
        self._figures = MeterProvider([reader], resource=resource)
        self._tracer = self._spans.get_tracer(SERVICE)
        meter = self._figures.get_meter(SERVICE)
        self._durations = {one: meter.create_histogram(one.value, "s") for one in Figure if one in DURATIONS}
        self._sums = {one: meter.create_counter(one.value) for one in Figure if one not in DURATIONS}

    @contextmanager
    def span(self, name: str, attributes: Attributes) -> Iterator[Span]:
        """Open a span; it has the run's id and mappings, if it belongs to a run."""
        kind = SpanKind.CLIENT if SYSTEM in attributes else SpanKind.INTERNAL
        with self._tracer.start_as_current_span(
            name,
            kind=kind,
            attributes={**_of_run(), **attributes},
            record_exception=False,  # its text and traceback may quote data
            set_status_on_exception=False,
        ) as span:
            yield OtelSpan(span)

    def measure(self, figure: Figure, amount: float, attributes: Attributes) -> None:
        """Take one measurement."""
        if figure in self._durations:
            self._durations[figure].record(amount, attributes)
        else:
            self._sums[figure].add(amount, attributes)

    def end(self) -> None:
        """Send what is left, for a few seconds at most; the threads of the SDK are daemons."""
        ends = [
            threading.Thread(target=one.shutdown, name="telemetry", daemon=True) for one in (self._spans, self._figures)
        ]
        for thread in ends:
            thread.start()
        for thread in ends:
            thread.join(END_WITHIN_S)


def _of_run() -> dict[str, Value]:
    """The attributes of the present span that its children have too."""
    present = trace.get_current_span()
    if not isinstance(present, ReadableSpan) or present.attributes is None:
        return {}
    found: dict[str, Value] = {}
    for name in _INHERITED:
        value = present.attributes.get(name)
        if isinstance(value, str):
            found[name] = value
        elif isinstance(value, tuple):
            found[name] = tuple(map(str, value))
    return found


def _resource() -> dict[str, str]:
    """The name of the service, unless the environment has another one."""
    is_named = "OTEL_SERVICE_NAME" in os.environ or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    return {} if is_named else {"service.name": SERVICE}


@contextmanager
def exported() -> Iterator[None]:
    """Export what the process does while the block runs."""
    spans, figures = _exporters()
    logging.getLogger("opentelemetry.exporter").setLevel(logging.ERROR)  # no line for each retry
    telemetry = OtelTelemetry(BatchSpanProcessor(spans), PeriodicExportingMetricReader(figures))
    try:
        with observed_by(telemetry):
            yield
    finally:
        telemetry.end()


def _exporters() -> tuple[SpanExporter, MetricExporter]:
    if os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc import metric_exporter, trace_exporter

        return trace_exporter.OTLPSpanExporter(), metric_exporter.OTLPMetricExporter()
    from opentelemetry.exporter.otlp.proto.http import metric_exporter as http_metrics
    from opentelemetry.exporter.otlp.proto.http import trace_exporter as http_traces

    return http_traces.OTLPSpanExporter(), http_metrics.OTLPMetricExporter()
