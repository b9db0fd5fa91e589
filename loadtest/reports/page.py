"""Writes report.html: one file without scripts and without external resources."""

from __future__ import annotations

from html import escape
from typing import Any

from loadtest.reports.plots import Line, cdf, plot
from loadtest.reports.report import MEANINGS
from loadtest.run import Run

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:860px;margin:2em auto;padding:0 1em;color:#1f2937;background:#fff}
h1{font-size:1.4em}h2{font-size:1.1em;margin-top:1.6em}figure{margin:1em 0}svg{width:100%;height:auto}
table{border-collapse:collapse}td,th{text-align:left;vertical-align:top;padding:.15em 1em .15em 0;border-bottom:1px solid #e5e7eb}
text{font-size:11px;fill:#4b5563}.title{font-size:13px;font-weight:600;fill:#111827}.x,.label{text-anchor:middle}.y,.legend{text-anchor:end}
.y{dominant-baseline:middle}.small{font-size:9px}.grid{stroke:#e5e7eb}.mark{stroke:#9ca3af;stroke-dasharray:2 3}
.bad{color:#b91c1c;font-weight:600}.good{color:#047857;font-weight:600}code{font-size:.9em}
"""  # noqa: E501


def page(run: Run, report: dict[str, Any], rows: list[tuple[str, str]]) -> str:
    found, figures = run.findings, run.figures
    verdict = (
        '<p class="good">Every result arrived once and is correct.</p>'
        if found.clean
        else '<p class="bad">Results were lost, doubled or wrong.</p>'
    )
    if run.unfinished:
        verdict += '<p class="bad">The run was not finished.</p>'
    sentences = [*run.unfinished, *found.examples]
    samples, marks = run.watch.samples, run.watch.marks
    memory = [(one.at, one.rss_kb / 1024) for one in samples if one.rss_kb is not None]
    connected = [(one.at, float(one.connected)) for one in samples]
    machine = ", ".join(f"{name} {value}" for name, value in report["machine"].items())
    plots = [
        plot(
            "One command on one host: cumulative share of samples",
            "milliseconds",
            "percent",
            [
                Line("all other hosts idle", cdf(figures.single_host_ms)),
                Line("all hosts busy", cdf(figures.loaded_host_ms)),
            ],
        ),
        plot("Dial to welcome, all hosts at once", "milliseconds", "percent", [Line("hosts", cdf(figures.connect_ms))]),
        plot(
            "API requests while hosts reconnected",
            "milliseconds",
            "percent",
            [Line("requests", cdf(figures.api_during_reconnect_ms))],
        ),
        plot("Memory of the server over time", "seconds", "MiB resident", [Line("server", memory)], marks),
        plot("Connected agents over time", "seconds", "agents", [Line("connected", connected)], marks),
    ]
    return "".join(
        [
            (
                f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Clarion load '
                f"test</title><style>{STYLE}</style>"
            ),
            (
                f"<h1>Clarion load test: {report['agents']} simulated agents</h1><p>{escape(machine)}; seed "
                f"{run.options.seed}</p>{verdict}"
            ),
            _list("What went wrong", sentences),
            "<h2>Figures</h2><table>",
            *(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in rows),
            "</table><h2>Plots</h2>",
            *plots,
            _list("Notes", run.notes),
            _list("What the figures mean", list(MEANINGS)),
            "</html>\n",
        ]
    )


def _list(title: str, sentences: list[str]) -> str:
    return f"<h2>{title}</h2><ul>{''.join(f'<li>{escape(one)}</li>' for one in sentences)}</ul>" if sentences else ""
