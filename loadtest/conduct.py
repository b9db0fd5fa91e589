"""One run from start to end: server, fleet, scenarios one after the other, reports, and the end of all processes."""

from __future__ import annotations

import shutil
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtest import files
from loadtest.api import Refused, Unreachable
from loadtest.measure.proc import machine, rss_kb
from loadtest.measure.watch import ResourceSampler, Sample
from loadtest.options import Options
from loadtest.reports.page import page
from loadtest.reports.progress import Console, table
from loadtest.reports.report import details, rows, summary, to_json, write
from loadtest.run import Incomplete, Run
from loadtest.scenarios import ALL, ALONE
from loadtest.scenarios.fairness import apart_of
from loadtest.scenarios.join import join
from loadtest.site.database import with_database
from loadtest.site.fleet import Fleet, FleetFailed
from loadtest.site.target import ExistingTarget, ServerDied, StartedTarget, Target

GOOD, BAD, UNFINISHED = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of a run.

    Attributes:
        code: GOOD; BAD if a result was lost, doubled or wrong; UNFINISHED if a scenario could not be finished.
        report: Contents of report.json.
    """

    code: int
    report: dict[str, Any]


def conduct(options: Options, show: Console) -> Outcome:
    """Run everything and write the reports.

    Raises:
        CannotRun: The run is impossible with these options.
    """
    about = machine()
    limit = files.limit()
    split = files.split(options.agents, limit, options.processes, apart_of(options))
    show.say(
        f"{options.agents} agents in {len(split)} process(es): a process may open {limit} files. Seed {options.seed}."
    )
    with ExitStack() as stack:
        folder = options.keep or Path(tempfile.mkdtemp(prefix="clarion-loadtest-"))
        folder.mkdir(parents=True, exist_ok=True)
        if options.keep is None:
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        options = with_database(options, folder, stack, show)
        target = _target(options, folder, limit, show, stack)
        times = {"hello_timeout": options.hello_timeout, "backoff_max": options.backoff_max}
        base = rss_kb(target.pid) if target.pid else None
        join_target = target.join_target(options.agents) if options.tls else None
        fleet = Fleet(
            target, split, seed=options.seed, folder=folder, join_target=join_target, dialing=options.dialing, **times
        )
        stack.callback(fleet.close)
        watch = ResourceSampler(target, fleet)
        run = Run(options, target, fleet, watch, show, time.monotonic() + options.limit, base_rss_kb=base)
        watch.on_sample = lambda sample: show.progress(_now(sample, fleet))
        watch.start()
        stack.callback(watch.close)
        if join_target is not None:
            join(run)
        connected = _scenarios(
            run, [name for name in ALL if name not in ALONE and (name in options.scenarios or name == "connect")]
        )
    if connected:
        _scenarios(run, [name for name in ALONE if name in options.scenarios])
    return _finish(run, about)


def _target(options: Options, folder: Path, limit: int, show: Console, stack: ExitStack) -> Target:
    if options.existing is not None:
        return ExistingTarget(options.existing)
    files.check_server(options.agents, limit)
    target = StartedTarget(folder, options)
    stack.callback(target.close)
    show.say(
        f"server started in {target.start():.2f} s: {target.url}, agents on "
        f"{target.agent_host}:{target.agent_port}, data in {folder}"
    )
    return target


def _scenarios(run: Run, names: list[str]) -> bool:
    """Run scenarios; False if further scenarios make no sense."""
    for name in names:
        title, scenario = ALL[name]
        run.show.begin(title)
        run.watch.mark(name)
        begin = time.monotonic()
        try:
            scenario(run)
        except Incomplete as error:
            run.unfinished.append(f"{name}: {error}")
            run.show.say(f"   not finished: {error}")
            if name == "connect":  # all others need hosts that are connected
                return False
        except (Refused, Unreachable, ServerDied, FleetFailed) as error:
            run.unfinished.append(f"{name}: {error}")
            run.show.say(f"   failed: {error}")
            return False
        if name not in ALONE:
            run.collect_fleet_figures()
        run.show.say(f"   done in {time.monotonic() - begin:.1f} s")
    return True


def _finish(run: Run, about: dict[str, object]) -> Outcome:
    if run.figures.wire_cpu_us_per_agent is None and "wire" not in run.options.scenarios:
        run.note("wire_cpu_us_per_agent is null: the scenario wire was not selected.")
    if run.options.existing is not None:
        run.note("For a server that the harness did not start, the store and the use of compiled modules are unknown.")
    pauses = run.target.pauses
    run.details["server_had_no_room"] = {"times": pauses.refused, "seconds_waited": round(pauses.seconds, 1)}
    report = summary(run, about)
    lines = rows(report, run)
    path = run.options.report
    write(path, to_json(report))
    write(path.with_suffix(".details.json"), to_json(details(run)))
    write(path.with_suffix(".html"), page(run, report, lines).encode())
    run.show.say(table(lines))
    for sentence in (*run.unfinished, *run.findings.examples, *run.notes):
        run.show.say(f"  - {sentence}")
    run.show.say(f"written: {path}, {path.with_suffix('.details.json')}, {path.with_suffix('.html')}")
    if not run.findings.clean:
        run.show.say("FAILED: results were lost, doubled or wrong")
        return Outcome(BAD, report)
    if run.unfinished:
        run.show.say("NOT FINISHED")
        return Outcome(UNFINISHED, report)
    return Outcome(GOOD, report)


def _now(sample: Sample, fleet: Fleet) -> str:
    memory = "" if sample.rss_kb is None else f", server {sample.rss_kb / 1024:.0f} MiB"
    cpu = "" if sample.cpu_seconds is None else f", {sample.cpu_seconds:.1f} s of CPU"
    doing = (
        f"{sample.connected} of {fleet.size} agents connected"
        if fleet.ids
        else f"{fleet.joining} of {fleet.size} hosts have joined"
    )
    return f"{doing}{memory}{cpu}"
