"""What a library measures, declared in one list (PL-45): its `metrics.py` makes a `Measures` and its metrics from it.

OpenTelemetry's API: without an SDK nothing is kept and nothing is sent. `docs/architecture/telemetry.md` is made from the lists, and
dashboards and alerts are checked against them.
"""

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

from opentelemetry import metrics

Kind = Literal["counter", "up-down counter", "gauge", "histogram"]
Labels = Mapping[str, str | int]
Source = TypeVar("Source")

#: Bounds of histograms of seconds: from a statement to a backlog of minutes.
SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


@dataclass(frozen=True)
class Metric:
    """A line of the list. unit: as UCUM and OpenTelemetry write it: `s`, `{event}`; empty: a plain number."""

    name: str
    kind: Kind
    unit: str
    labels: tuple[str, ...]
    meaning: str


class Observed:
    """A gauge that is read when it is exported, from whoever has something to say of it and still lives."""

    def __init__(self) -> None:
        self._sources: weakref.WeakKeyDictionary[object, Callable[[Any], Iterable[tuple[float, Labels]]]] = (
            weakref.WeakKeyDictionary()
        )

    def of(self, source: Source, read: Callable[[Source], Iterable[tuple[float, Labels]]]) -> None:
        """Have `read(source)` say values and labels from now on. It is called from the exporter's thread, so it only looks; and it
        must not hold the source itself. What several sources say with the same labels is added up."""
        self._sources[source] = read

    def values(self) -> dict[tuple[tuple[str, str | int], ...], float]:
        """What there is to say now: labels → value."""
        told: dict[tuple[tuple[str, str | int], ...], float] = {}
        for source, read in list(self._sources.items()):
            for value, labels in read(source):
                key = tuple(sorted(labels.items()))
                told[key] = told.get(key, 0) + value
        return told


class Measures:
    """The metrics of one library. `listed`: as they were declared."""

    def __init__(self, library: str, provider: metrics.MeterProvider | None = None) -> None:
        """provider: where it is not the process's own."""
        self.library = library
        self.listed: list[Metric] = []
        self._meter = metrics.get_meter(library, meter_provider=provider)

    def counter(self, name: str, *, unit: str, meaning: str, labels: Sequence[str] = ()) -> metrics.Counter:
        """Counts up."""
        self._list(name, "counter", unit, labels, meaning)
        return self._meter.create_counter(name, unit, meaning)

    def up_down_counter(
        self, name: str, *, unit: str, meaning: str, labels: Sequence[str] = ()
    ) -> metrics.UpDownCounter:
        """Counts up and down."""
        self._list(name, "up-down counter", unit, labels, meaning)
        return self._meter.create_up_down_counter(name, unit, meaning)

    def histogram(
        self, name: str, *, unit: str, meaning: str, labels: Sequence[str] = (), bounds: Sequence[float] = SECONDS
    ) -> metrics.Histogram:
        """A distribution. bounds: of its buckets; the SDK's own begin at 5."""
        self._list(name, "histogram", unit, labels, meaning)
        return self._meter.create_histogram(name, unit, meaning, explicit_bucket_boundaries_advisory=bounds)

    def observed(self, name: str, *, unit: str, meaning: str, labels: Sequence[str] = ()) -> Observed:
        """A gauge."""
        self._list(name, "gauge", unit, labels, meaning)
        made = Observed()

        def read(_: metrics.CallbackOptions) -> Iterable[metrics.Observation]:
            return [metrics.Observation(value, dict(labels)) for labels, value in made.values().items()]

        self._meter.create_observable_gauge(name, [read], unit, meaning)
        return made

    def _list(self, name: str, kind: Kind, unit: str, labels: Sequence[str], meaning: str) -> None:
        """ValueError when the name was given before: two instruments would be exported as one."""
        if any(metric.name == name for metric in self.listed):
            raise ValueError(f"{name} is declared twice")
        self.listed.append(Metric(name, kind, unit, tuple(labels), meaning))


__all__ = ["SECONDS", "Kind", "Labels", "Measures", "Metric", "Observed"]
