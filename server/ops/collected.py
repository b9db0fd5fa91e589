"""Metrics that are computed from the server's state at each scrape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from heapq import nlargest
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from server.core.figures.delivery import DurationHistogram
from server.core.figures.statistics import Statistics
from server.core.states import ExecutionStatus, TaskStatus

NOTHING = Statistics((0,) * len(TaskStatus), (0,) * len(ExecutionStatus))
OTHER, NONE = "other", "none"
"""Labels for less common versions, and for hosts whose agent has reported no version."""


class StatusCollector(Collector):
    """Counts tasks and executions by status."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.statistics: Callable[[], Statistics] = lambda: NOTHING
        self.ended: Callable[[], Sequence[int]] = lambda: NOTHING.executions
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        statistics = self.statistics()
        tasks = GaugeMetricFamily("clarion_tasks", "Tasks in the store, by status.", labels=["status"])
        for task_status in TaskStatus:
            tasks.add_metric([task_status.label], statistics.tasks[task_status])
        yield tasks
        executions = GaugeMetricFamily("clarion_executions", "Executions in the store, by status.", labels=["status"])
        for status in ExecutionStatus:
            executions.add_metric([status.label], statistics.executions[status])
        yield executions
        finished = CounterMetricFamily(
            "clarion_executions_finished",
            "Executions that ended since the server started, by status.",
            labels=["status"],
        )
        for status in ExecutionStatus:
            if status.final:
                finished.add_metric([status.label], self.ended()[status])
        yield finished


class VersionCollector(Collector):
    """Counts hosts by the version of their agent.

    An agent may report any text, so there are at most MOST series and two more.
    """

    MOST = 20

    def __init__(self, registry: CollectorRegistry) -> None:
        self.hosts: Callable[[], Mapping[str, Collection[str]]] = dict
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        words = (
            f"Known hosts by agent version: the {self.MOST} most common versions, 'other' for all others, 'none' for "
            f"hosts whose agent has reported no version."
        )
        family = GaugeMetricFamily("clarion_agents", words, labels=["version"])
        for version, number in self._counted().items():
            family.add_metric([version], number)
        yield family

    def _counted(self) -> dict[str, int]:
        hosts = self.hosts()
        known = [(len(ids), version) for version, ids in hosts.items() if version]
        shown = nlargest(self.MOST, known)
        counted = Counter({version: number for number, version in shown})
        counted[NONE] += len(hosts.get("", ()))
        counted[OTHER] += sum(number for number, _ in known) - sum(number for number, _ in shown)
        return dict(+counted)


class FastHistogram(Collector):
    """A histogram for ten thousand observations per second.

    prometheus_client's histogram takes 3.5 µs per observation, because it locks; all observations are on one loop.

    Args:
        name: Name of the metric.
        words: Help text.
        buckets: Upper bounds, ascending.
        registry: Registry of the metric.
    """

    def __init__(self, name: str, words: str, buckets: Sequence[float], registry: CollectorRegistry) -> None:
        self._name, self._words = name, words
        self.kept = DurationHistogram(buckets)
        self.observe = self.kept.add
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        kept = self.kept
        bounds = [*(str(float(bound)) for bound in kept.bounds), "+Inf"]
        yield HistogramMetricFamily(
            self._name,
            self._words,
            buckets=list(zip(bounds, accumulate(kept.counts), strict=True)),
            sum_value=kept.total,
        )
