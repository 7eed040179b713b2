"""Figures as Prometheus reads them (the text format, by its own client library)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client.metrics_core import Metric

    from reconciler.figures import Figure


class _Figures(Collector):
    """Asks for the figures at every scrape."""

    def __init__(self, read: Callable[[], Iterable[Figure]]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        for figure in self._read():
            names = [name for name, _ in figure.samples[0][0]] if figure.samples else []
            family = CounterMetricFamily if figure.kind == "counter" else GaugeMetricFamily
            metric = family(figure.name, figure.help, labels=names)
            for labels, value in figure.samples:
                metric.add_metric([text for _, text in labels], float(value))
            yield metric

    def describe(self) -> Iterable[Metric]:
        """Nothing is read before the state is there."""
        return ()


class Metrics:
    """A registry of its own: two control planes in one process do not mix."""

    def __init__(self, read: Callable[[], Iterable[Figure]]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Figures(read))
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def text(self) -> bytes:
        return generate_latest(self._registry)
