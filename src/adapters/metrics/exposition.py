"""How Prometheus is told: the numbers of all workers, in the formats that it reads."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final

import attrs
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from adapters.metrics.cells import Cells, Layout, Metric, Told

REUSED_S: Final = 0.1
"""For how long an answer is given again. It takes some milliseconds to make, and anyone may ask for it."""

OPEN_METRICS: Final = "application/openmetrics-text"

Facts = Mapping[str, tuple[str, Mapping[str, str]]]
"""What is no number: help and labels, by name."""


@attrs.frozen(eq=False)
class _Numbers(Collector):
    layout: Layout
    workers: Sequence[Told]
    facts: Facts

    def collect(self) -> Iterator[Family]:
        for name, (help, labels) in self.facts.items():
            fact = InfoMetricFamily(name, help)
            fact.add_metric([], dict(labels))
            yield fact
        for metric in self.layout.metrics:
            yield _family(metric, list(self._series(metric)))

    def _series(self, metric: Metric) -> Iterator[tuple[Sequence[str], Sequence[float]]]:
        # What a worker had in hand when it died is gone. What it had counted was counted.
        workers = [told for told in self.workers if told.is_alive or (metric.kind != "gauge" and not metric.of_worker)]
        for labels, place in self.layout.places(metric):
            of_each = [told.numbers[place : place + metric.width] for told in workers]
            if metric.of_worker:
                for told, numbers in zip(workers, of_each, strict=True):
                    if not metric.sparse or any(numbers):
                        yield (*labels, str(told.worker)), numbers
            else:
                numbers = [sum(cells) for cells in zip(*of_each, strict=True)]
                if not metric.sparse or any(numbers):
                    yield labels, numbers


def _family(metric: Metric, series: Sequence[tuple[Sequence[str], Sequence[float]]]) -> Family:
    labels = (*metric.labels, "worker") if metric.of_worker else metric.labels
    if metric.kind == "histogram":
        histogram = HistogramMetricFamily(metric.name, metric.help, labels=labels)
        for values, (*buckets, total) in series:
            bounds = [*map(floatToGoString, metric.bounds), "+Inf"]
            histogram.add_metric(values, list(zip(bounds, accumulate(buckets), strict=True)), total)
        return histogram
    family = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    made = family(metric.name, metric.help, labels=labels)
    for values, (number,) in series:
        made.add_metric(values, number)
    return made


class Exposition:
    """Answers to scrapes. ``look`` brings the gauges of this process up to date."""

    def __init__(self, cells: Cells, layout: Layout, look: Callable[[], None], facts: Callable[[], Facts]) -> None:
        self._cells = cells
        self._layout = layout
        self._look = look
        self._facts = facts
        self._answers: dict[str, tuple[float, asyncio.Future[bytes]]] = {}

    async def answer(self, accept: str) -> tuple[str, bytes]:
        """The content type, out of those that the client accepts, and the metrics of all workers."""
        # As few kinds of answers as there are formats, whatever else is asked for.
        encode, content_type = choose_encoder(OPEN_METRICS if OPEN_METRICS in accept else "")
        now = asyncio.get_running_loop().time()
        made_at, answer = self._answers.get(content_type, (-REUSED_S, None))
        if answer is None or (answer.done() and now - made_at > REUSED_S):
            answer = asyncio.ensure_future(asyncio.to_thread(self._encoded, encode, self._own()))
            self._answers[content_type] = (now, answer)
        return content_type, await asyncio.shield(answer)

    def _own(self) -> Told:
        """The numbers of this process, of one moment."""
        self._look()
        return Told(self._cells.worker, True, self._cells.numbers.tolist())

    def _encoded(self, encode: Callable[[Collector], bytes], own: Told) -> bytes:
        registry = CollectorRegistry()
        workers = sorted((own, *self._cells.others()), key=lambda told: told.worker)
        registry.register(_Numbers(self._layout, workers, self._facts()))
        return encode(registry)
