"""Prometheus metrics: figures of the ledger, read at each scrape, and counters of this process's requests."""

from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from connector.app.figures import ServiceFigures
from connector.core.task_seconds import BOUNDS_S, TaskSeconds

Figures = Callable[[], ServiceFigures]
Described = Mapping[str, tuple[str, tuple[str, ...]]]
_GAUGES: Described = {
    "requested_records": ("Records of requests without a final outcome, by state", ("state",)),
    "open_purchases": ("Purchases sent and not final, by vendor and state", ("provider", "state")),
    "open_records": ("Records selected and not finished", ()),
    "parked_records": ("Records with a paid value that could not be written", ()),
    "attention_records": ("Records of the last ended run that a person should look at", ("mapping",)),
    "credits_held": ("Credits held for unfinished requests", ("provider",)),
    "vendor_balance": ("Credits of the account, as the vendor last showed them", ("provider",)),
    "vendor_balance_timestamp_seconds": ("When the vendor last showed the balance", ("provider",)),
    "last_run_started_timestamp_seconds": ("When the last run began", ()),
    "last_success_timestamp_seconds": ("When the last successful run ended", ("mapping",)),
}
_COUNTERS: Described = {
    "credits_charged": ("Credits charged since the ledger was created, reversed ones included", ("provider",)),
    "credits_reversed": ("Credits of charges that evidence has reversed", ("provider",)),
    "channel_outcomes": ("Channels of finished records, by outcome", ("mapping", "channel", "outcome")),
}
_TASKS = "Seconds from the submission of a vendor's task to the poll that showed its end"


class _Ledger(Collector):
    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterable[Metric]:
        """Read the ledger and yield all its figures."""
        found = self._figures()
        for kind, described in ((GaugeMetricFamily, _GAUGES), (CounterMetricFamily, _COUNTERS)):
            for name, (words, labels) in described.items():
                family = kind(f"connector_{name}", words, labels=labels)
                for values, number in found.values.get(name, {}).items():
                    family.add_metric(values, number)
                yield family
        yield _histogram(found.tasks)


def _histogram(tasks: Mapping[tuple[str, str], TaskSeconds]) -> Metric:
    family = HistogramMetricFamily("connector_vendor_task_seconds", _TASKS, labels=("provider", "channel"))
    bounds = [*map(floatToGoString, BOUNDS_S), "+Inf"]
    for labels, one in tasks.items():
        family.add_metric(labels, list(zip(bounds, accumulate(one.counts), strict=True)), one.seconds)
    return family


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
