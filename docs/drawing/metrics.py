"""docs/reference/metrics.md, from server/ops/metrics.py."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import Metric, ProcessCollector
from prometheus_client.registry import Collector

from docs.drawing.markdown import DRAWN, table
from server.ops.metrics import Metrics

INTERNAL = ("le", "quantile")


def declared() -> Iterator[tuple[str, str, str, str]]:
    """Yields (name as it is exposed, type, labels, help) of every metric but those of the process."""
    registry = Metrics().registry
    for collector in registry._collector_to_names:  # the registry has no public way to list its collectors
        if not isinstance(collector, ProcessCollector):
            for metric in collector.collect():
                yield _exposed(metric), metric.type, ", ".join(_labels(collector, metric)), metric.documentation


def _exposed(metric: Metric) -> str:
    return f"{metric.name}_total" if metric.type == "counter" else metric.name


def _labels(collector: Collector, metric: Metric) -> list[str]:
    named = (*getattr(collector, "_labelnames", ()), *getattr(metric, "_labelnames", ()))
    sampled = {label for sample in metric.samples for label in sample.labels}
    return [f"`{label}`" for label in dict.fromkeys((*named, *sorted(sampled))) if label not in INTERNAL]


def metrics() -> str:
    rows = [(f"`{name}`", kind, labels, about) for name, kind, labels, about in sorted(declared())]
    return f"""# Metrics

{DRAWN}
`GET /metrics` answers in the text format of Prometheus. It needs the token in `DATA/metrics.token`.
[Operations](../guide/operations.md#monitoring) says which metric answers which question.

Times are in seconds. A histogram has the series `_bucket`, `_sum` and `_count`. No series is labelled by host or
task, and an agent cannot create new series.
A scrape costs the same with one host and with ten thousand. `process_…` are the usual metrics of the server's process.

{table(("metric", "type", "labels", "meaning"), rows)}"""
