"""Runs the same scenarios with and without compiled modules and compares the results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from loadtest.conduct import Outcome, conduct
from loadtest.options import CannotRun, Options
from loadtest.reports.figures import percentile
from loadtest.reports.progress import Console, columns
from loadtest.reports.report import to_json, write
from loadtest.site.target import compiled

FIGURES = (
    ("connect, all", "s", ("connect_seconds",)),
    ("connect, server CPU per agent", "µs", ("connect_cpu_us_per_agent",)),
    ("memory per idle agent", "KB", ("server_rss_kb_per_agent",)),
    ("idle CPU", "% of a core", ("idle_cpu_percent",)),
    ("echo round, median", "s", ("rounds", "wall_seconds")),
    ("echo round, server CPU per agent, median", "µs", ("rounds", "server_cpu_us_per_agent")),
    ("create and start, median", "s", ("rounds", "create_start_seconds")),
    ("wire to tally, server CPU per agent", "µs", ("wire_cpu_us_per_agent",)),
    ("one host, p50", "ms", ("single_host_latency_ms", "p50")),
    ("one host, p99", "ms", ("single_host_latency_ms", "p99")),
    ("reconnect, all", "s", ("reconnect_seconds",)),
    ("API p99 during reconnect", "ms", ("api_p99_ms_during_reconnect",)),
)


def compare(options: Options, show: Console) -> int:
    """Run both and return the worse of the two exit codes.

    report.json contains the compiled run; .pure.json and .compare.json are written next to it.

    Raises:
        CannotRun: There are no compiled modules.
    """
    if not compiled():
        raise CannotRun(
            "--compare: there are no compiled modules to compare with; run 'make build' on a machine with a C compiler"
        )
    show.say("=== with compiled modules")
    fast = conduct(replace(options, pure=False), show)
    show.say("=== with CLARION_PURE=1")
    keep = None if options.keep is None else options.keep.with_name(options.keep.name + ".pure")
    slow = conduct(replace(options, pure=True, keep=keep, report=options.report.with_suffix(".pure.json")), show)
    found = side_by_side(fast.report, slow.report)
    path = options.report.with_suffix(".compare.json")
    write(path, to_json({"compiled": fast.report, "pure": slow.report, "side_by_side": found}))
    show.say(table(found))
    show.say(f"written: {path}")
    return worse(fast, slow)


def side_by_side(fast: Mapping[str, Any], slow: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one entry per figure: name, unit, compiled, pure, and pure divided by compiled (None if one was not
    measured).
    """
    found = []
    for what, unit, path in FIGURES:
        one, other = value(fast, path), value(slow, path)
        ratio = None if not one or other is None else round(other / one, 2)
        found.append({"what": what, "unit": unit, "compiled": one, "pure": other, "pure_to_compiled": ratio})
    return found


def value(report: Mapping[str, Any], path: tuple[str, ...]) -> float | None:
    """Return a figure of the report; the median (nearest rank) for rounds."""
    found = report[path[0]]
    if isinstance(found, list):
        return percentile([one[path[1]] for one in found if one[path[1]] is not None], 0.5)
    return found[path[1]] if len(path) > 1 else found  # type: ignore[no-any-return]


def table(found: list[dict[str, Any]]) -> str:
    def said(number: float | None) -> str:
        return "-" if number is None else f"{number:g}"

    rows = [
        (f"{one['what']}, {one['unit']}", said(one["compiled"]), said(one["pure"]), said(one["pure_to_compiled"]))
        for one in found
    ]
    return columns([("", "compiled", "pure", "pure / compiled"), *rows])


def worse(*outcomes: Outcome) -> int:
    """Return the worse exit code; wrong results weigh more than an unfinished run."""
    codes = [one.code for one in outcomes]
    return min((code for code in codes if code), default=0)
