"""Metrics as Prometheus would read them."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import attrs
import httpx
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from adapters.metrics.exposition import REUSED_S

WAIT_S_MAX: Final = 30.0

Labels = frozenset[tuple[str, str]]

SUFFIXES: Final = ("_bucket", "_count", "_sum")


@attrs.frozen
class Scrape:
    """One answer of ``/metrics``."""

    samples: Mapping[tuple[str, Labels], float]
    kinds: Mapping[str, str]
    """By the name that a metric has in the documentation."""
    helps: Mapping[str, str]

    @classmethod
    def of(cls, text: str) -> "Scrape":
        families = list(text_string_to_metric_families(text))
        named = {cls._name(family.name, family.type): family for family in families}
        return cls(
            {(sample.name, frozenset(sample.labels.items())): sample.value for f in families for sample in f.samples},
            {name: family.type for name, family in named.items()},
            {name: family.documentation for name, family in named.items()},
        )

    @staticmethod
    def _name(name: str, kind: str) -> str:
        return f"{name}_total" if kind == "counter" else name

    def __call__(self, name: str, **labels: str) -> float:
        """The value of a series; 0 if it is not there."""
        return self.samples.get((name, frozenset(labels.items())), 0.0)

    def total(self, name: str, **labels: str) -> float:
        """The sum of all series that have these labels."""
        wanted = frozenset(labels.items())
        return sum(value for (n, found), value in self.samples.items() if n == name and wanted <= found)

    def labels(self, name: str) -> set[str]:
        """The labels of a metric, without those that every histogram has."""
        names = {name, *(name + suffix for suffix in SUFFIXES)}
        return {label for (n, labels) in self.samples if n in names for label, _ in labels} - {"le"}

    def counts(self, name: str, label: str) -> dict[str, float]:
        """What a metric has counted by one label, without what it has not."""
        found: dict[str, float] = {}
        for (n, labels), value in self.samples.items():
            if n == name and value:
                found[dict(labels)[label]] = found.get(dict(labels)[label], 0.0) + value
        return found


def scraped(client: httpx.Client) -> Scrape:
    answer = client.get("/metrics")
    assert answer.status_code == 200, answer.text
    return Scrape.of(answer.text)


async def scraped_from(client: httpx.AsyncClient) -> Scrape:
    answer = await client.get("/metrics")
    assert answer.status_code == 200, answer.text
    return Scrape.of(answer.text)


async def scraped_when(client: httpx.AsyncClient, holds: Callable[[Scrape], bool]) -> Scrape:
    """The first scrape of which this holds."""
    async with asyncio.timeout(WAIT_S_MAX):
        while True:
            scrape = await scraped_from(client)
            if holds(scrape):
                return scrape
            # For as long, the same answer is given again.
            await asyncio.sleep(REUSED_S)


def is_openmetrics(text: str) -> bool:
    """Whether the stricter parser takes it."""
    families = openmetrics_families(text)  # type: ignore[no-untyped-call] # the library publishes it without types
    return len(list(families)) > 10
