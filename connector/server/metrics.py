"""Prometheus metrics: gauges of the ledger, read at each scrape, and counters of this process's requests."""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

Figures = Callable[[], Mapping[str, Mapping[tuple[str, ...], float]]]
_GAUGES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "requested_records": ("Records of requests, by state", ("state",)),
    "open_purchases": ("Purchases sent and not final, by vendor and state", ("provider", "state")),
    "open_records": ("Records selected and not finished", ()),
    "parked_records": ("Records with a paid value that could not be written", ()),
    "credits_held": ("Credits held for unfinished requests", ("provider",)),
    "credits_charged": ("Credits charged since the ledger was created", ("provider",)),
    "last_run_started_timestamp_seconds": ("When the last run began", ()),
}


class _Ledger(Collector):
    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterable[Metric]:
        """Read the ledger and yield all gauges."""
        found = self._figures()
        for name, (words, labels) in _GAUGES.items():
            gauge = GaugeMetricFamily(f"connector_{name}", words, labels=labels)
            for values, number in found.get(name, {}).items():
                gauge.add_metric(values, number)
            yield gauge


class Metrics:
    """The metrics of this process, in a separate registry.

    Args:
        figures: reads the ledger's figures.
    """

    def __init__(self, figures: Figures) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Ledger(figures))
        labels = ("route", "status")  # the route's template, because paths contain secrets and ids
        self._requests = Counter("connector_http_requests", "Requests answered", labels, registry=self._registry)
        self._seconds = Histogram("connector_http_seconds", "Time to answer", ("route",), registry=self._registry)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count an answered request and its duration."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)
