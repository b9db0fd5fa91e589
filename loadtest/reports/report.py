"""Writes report.json with exactly the documented keys, report.details.json with everything else, and report.html."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from loadtest.reports.figures import Round, percentile, rounded
from loadtest.run import Run

KEYS = (
    "machine",
    "agents",
    "tls",
    "store",
    "pure",
    "connect_seconds",
    "connect_cpu_us_per_agent",
    "server_rss_kb_per_agent",
    "idle_cpu_percent",
    "rounds",
    "wire_cpu_us_per_agent",
    "single_host_latency_ms",
    "reconnect_seconds",
    "api_p99_ms_during_reconnect",
)
MEANINGS = (
    (
        "connect_seconds: from the first connection attempt until all hosts have received Welcome. Its CPU includes "
        "the server's writes in the seconds after."
    ),
    (
        "rounds: wall_seconds from before the POST that creates the task until the final task has been received; "
        "create_start_seconds is the POST that creates and the POST that starts it, together."
    ),
    (
        "CPU and memory are those of the server's process alone, read from /proc in steps of 10 ms and of a page; "
        "agents and harness run on the same machine."
    ),
    (
        "wire_cpu_us_per_agent: the median of rounds of one message down and two up, from the socket to the tally "
        "and back, in a process of listener, lane, conductor and engine with a store that commits at once; without "
        "TLS, REST and database."
    ),
    (
        "single_host_latency_ms: from the POST that runs it to the final task, one after the other, while all "
        "other hosts are connected and idle."
    ),
    (
        "Joining, with TLS, is reported separately and is not part of connect_seconds; the server's data about a "
        "joined host is part of its memory."
    ),
    (
        "reconnect_seconds: the server was killed and started again; from the moment at which its agent port "
        "listens again until every host has received Welcome, each reconnecting with the real agent's backoff. API "
        "times during this count from the moment at which each request was due."
    ),
)
"""Explanations of the figures for the reader of the page."""


def summary(run: Run, machine: dict[str, object]) -> dict[str, Any]:
    """Return the contents of report.json; null means not measured."""
    figures = run.figures
    return {
        "machine": machine,
        "agents": run.fleet.size,
        "tls": run.options.tls,
        "store": run.options.store if run.options.existing is None else None,
        "pure": run.target.pure,
        "connect_seconds": rounded(figures.connect_seconds),
        "connect_cpu_us_per_agent": rounded(figures.connect_cpu_us_per_agent, 1),
        "server_rss_kb_per_agent": rounded(figures.server_rss_kb_per_agent, 1),
        "idle_cpu_percent": rounded(figures.idle_cpu_percent, 2),
        "rounds": [_round(one) for one in figures.rounds],
        "wire_cpu_us_per_agent": rounded(figures.wire_cpu_us_per_agent, 1),
        "single_host_latency_ms": {
            "p50": rounded(percentile(figures.single_host_ms, 0.5)),
            "p99": rounded(percentile(figures.single_host_ms, 0.99)),
        },
        "reconnect_seconds": rounded(figures.reconnect_seconds),
        "api_p99_ms_during_reconnect": rounded(percentile(figures.api_during_reconnect_ms, 0.99)),
    }


def _round(one: Round) -> dict[str, Any]:
    return {
        "wall_seconds": rounded(one.wall_seconds),
        "server_cpu_us_per_agent": rounded(one.server_cpu_us_per_agent, 1),
        "create_start_seconds": rounded(one.create_start_seconds),
        "lost": one.lost,
        "doubled": one.doubled,
    }


def details(run: Run) -> dict[str, Any]:
    """Return everything without a key in report.json."""
    return {
        "seed": run.options.seed,
        "settings": list(run.options.sets),
        "processes": [member.agents for member in run.fleet.members],
        "findings": asdict(run.findings),
        "unfinished": run.unfinished,
        "notes": run.notes,
        "scenarios": run.details,
        "fleet": {
            "counts": dict(run.fleet_counts),
            "endings": dict(run.fleet_endings),
            "cpu_seconds": run.fleet_cpu_seconds,
        },
        "samples": [asdict(one) for one in run.watch.samples],
        "marks": [{"at": at, "scenario": name} for at, name in run.watch.marks],
        "single_host_ms": run.figures.single_host_ms,
        "loaded_host_ms": run.figures.loaded_host_ms,
        "api_during_reconnect_ms": run.figures.api_during_reconnect_ms,
    }


def rows(report: dict[str, Any], run: Run) -> list[tuple[str, str]]:
    """Return the rows of the final table."""
    latency, found = report["single_host_latency_ms"], run.findings
    out = [
        (
            "agents",
            (
                f"{report['agents']} in {len(run.fleet.members)} processes, store "
                f"{report['store'] or 'of the server'}, TLS {'yes' if report['tls'] else 'no'}"
            ),
        ),
        ("compiled modules", {True: "no (pure)", False: "yes", None: "not known"}[report["pure"]]),
        ("connect, all", _with(report["connect_seconds"], "s")),
        ("connect, server CPU per agent", _with(report["connect_cpu_us_per_agent"], "µs")),
        ("memory per idle agent", _with(report["server_rss_kb_per_agent"], "KB")),
        ("idle CPU", _with(report["idle_cpu_percent"], "% of a core")),
    ]
    for number, one in enumerate(report["rounds"], 1):
        text = (
            f"{_with(one['wall_seconds'], 's')}, server CPU {_with(one['server_cpu_us_per_agent'], 'µs')} per "
            f"agent, create + start {_with(one['create_start_seconds'], 's')}, lost {one['lost']}, doubled "
            f"{one['doubled']}"
        )
        out.append((f"echo round {number}", text))
    out += [
        ("wire to tally, server CPU per agent", _with(report["wire_cpu_us_per_agent"], "µs")),
        ("one host, p50 / p99", f"{_with(latency['p50'], 'ms')} / {_with(latency['p99'], 'ms')}"),
        ("reconnect, all", _with(report["reconnect_seconds"], "s")),
        ("API p99 during reconnect", _with(report["api_p99_ms_during_reconnect"], "ms")),
    ]
    out += [
        (_words(name), ", ".join(f"{_words(key)} {plain(value)}" for key, value in one.items()))
        for name, one in run.details.items()
    ]
    out.append(
        (
            "results",
            (
                f"lost {found.lost}, doubled {found.doubled}, wrong {found.wrong}; correctly refused "
                f"{found.refused}; {found.outputs} outputs read"
            ),
        )
    )
    return out


def _with(value: float | None, unit: str) -> str:
    return "not measured" if value is None else f"{value:g} {unit}"


def _words(name: str) -> str:
    return name.replace("_", " ")


def plain(value: object) -> str:
    """Format a value: the length of a list; a number with three digits and without exponent."""
    if isinstance(value, list):
        return str(len(value))
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return "not measured" if value is None else str(value)


def write(path: Path, data: bytes) -> None:
    """Write a file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    os.replace(part, path)


def to_json(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
