"""Figures for Prometheus: of the ledger, read when asked for, and of the requests answered by this process."""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

Figures = Callable[[], Mapping[str, Mapping[tuple[str, ...], float]]]
_GAUGES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "requested_records": ("Records of requests, by state", ("state",)),
    "open_purchases": ("Purchases sent and not ended, by vendor and state", ("provider", "state")),
    "open_records": ("Records taken up and not finished", ()),
    "parked_records": ("Records with a paid value that could not be written", ()),
    "credits_held": ("Credits set aside for requests without an end", ("provider",)),
    "credits_charged": ("Credits charged since the ledger began", ("provider",)),
    "last_run_started_timestamp_seconds": ("When the last run began", ()),
}


class _Ledger(Collector):
    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterable[Metric]:
        """All gauges, read now."""
        found = self._figures()
        for name, (words, labels) in _GAUGES.items():
            gauge = GaugeMetricFamily(f"connector_{name}", words, labels=labels)
            for values, number in found.get(name, {}).items():
                gauge.add_metric(values, number)
            yield gauge


class Metrics:
    """This process's metrics, in a registry of their own.

    Args:
        figures: what the ledger says.
    """

    def __init__(self, figures: Figures) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Ledger(figures))
        labels = ("route", "status")  # the route's template: a path holds secrets and ids
        self._requests = Counter("connector_http_requests", "Requests answered", labels, registry=self._registry)
        self._seconds = Histogram("connector_http_seconds", "Time to answer", ("route",), registry=self._registry)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """In Prometheus' own format."""
        return generate_latest(self._registry)
