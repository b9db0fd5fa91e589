"""Runs `make attack`: every attack while healthy agents work, with and without TLS; prints a table, writes a JSON file.

Exit code 1 if a criterion fails. p99 is only reported in words, because on a shared machine other machines change it
more than an attack does. So each attack is compared with a period before and after it, and a period disturbed by the
hypervisor is repeated.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

from loadtest.files import limit
from loadtest.measure.proc import machine
from tests.tools.attack.attacker import BURN, IDLE
from tests.tools.attack.attacks import ATTACKS, pairs
from tests.tools.attack.judge import MOST_STOLEN, Case, table
from tests.tools.attack.site import Seen, Site, Watching, launch, order, outcome, settled

PATIENCE = 90.0
"""Seconds after which a connection that had to be cut off counts as ignored."""
HOLD = 75.0
"""Seconds after which an attacker that does not read checks for its end: guard.send_timeout, checked at each heartbeat.
"""
FEW = 3
"""Number of the attacker's hosts in attacks by slow readers."""
ATTEMPTS = 3
"""Attempts at an attack that was disturbed."""


def measured(site: Site, name: str, who: str, place: int, seconds: float, before: Seen, busy: Seen) -> Case:
    """Measure one attack and the period after it."""
    refused, told, came = site.refused(), site.told(), site.came_back()
    work = site.attacker_ids[:FEW] if ATTACKS[name].work else ()
    with Watching(site, work) as watching:
        process = launch(
            order(
                site, name, who, source=f"127.0.1.{place}", seconds=seconds, connections=0, patience=PATIENCE, hold=HOLD
            )
        )
        done = outcome(process, seconds + PATIENCE + 30)
    settled(site, PATIENCE)
    with site.api() as api:
        answers = site.everybody_answers(api)
    case = Case(
        name, who, "TLS" if site.tls else "plaintext", done, watching.seen(), dict(site.refused() - refused), dict(site.told() - told), before, before, busy,  # noqa: E501
        site.came_back() - came, answers, watching.failure,
    )  # fmt: skip
    return replace(case, after=control(site, IDLE, seconds))


def control(site: Site, kind: str, seconds: float) -> Seen:
    """Measure the healthy agents without an attack; repeat a period disturbed by the hypervisor."""
    for _ in range(ATTEMPTS):
        with Watching(site) as watching:
            outcome(
                launch(order(site, kind, "nobody", source="127.0.1.1", seconds=seconds, connections=0, patience=0)),
                seconds + 30,
            )
        if watching.seen().stolen <= MOST_STOLEN:
            break
    return watching.seen()


def on(port: str, agents: int, seconds: float, only: list[str]) -> list[Case]:
    cases: list[Case] = []
    with tempfile.TemporaryDirectory(prefix="clarion-attack-") as folder:
        site = Site(Path(folder), agents, tls=port == "tls")
        try:
            site.start()
            busy, calm = control(site, BURN, seconds), control(site, IDLE, seconds)
            print(
                (
                    f"{port}: {agents} agents connected; p99 beside a computing process {busy.p99 or 0:.1f} ms, "
                    f"beside a sleeping one {calm.p99 or 0:.1f} ms"
                ),
                flush=True,
            )
            wanted = [(name, who) for name in only or ATTACKS for who in pairs(name, site.tls)]
            for place, (name, who) in enumerate(wanted):
                for attempt in range(ATTEMPTS):  # each from an address of its own: the one before may still be shut out
                    cases.append(measured(site, name, who, 2 + place * ATTEMPTS + attempt, seconds, calm, busy))
                    calm = cases[-1].after
                    print("  ".join(cases[-1].cells()), flush=True)
                    if not cases[-1].disturbed:
                        break
            print(*site.internal_errors(), sep="\n", end="", flush=True)
        finally:
            site.close()
    return cases


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--agents", type=int, default=500)
    parser.add_argument("--report", type=Path, default=Path("attack.json"))
    parser.add_argument("--port", choices=("plain", "tls"), action="append", help="only this one")
    parser.add_argument(
        "--attack", action="append", choices=tuple(ATTACKS), metavar="NAME", help="only this one: " + ", ".join(ATTACKS)
    )
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server and the agents are ended with it
    limit()
    about = machine()
    cases = [
        case
        for port in asked.port or ("plain", "tls")
        for case in on(port, asked.agents, asked.seconds, asked.attack or [])
    ]
    report = {
        "machine": about,
        "seconds": asked.seconds,
        "agents": asked.agents,
        "cases": [{**asdict(case), "verdict": case.verdict(), "growth_mib": case.growth} for case in cases],
    }
    asked.report.write_text(json.dumps(report, indent=1) + "\n")
    print(table(cases))
    failed = [case for case in cases if case.faults()]
    judged = [case for case in cases if not case.disturbed]
    moved = sum(not case.calmly for case in judged)
    print(
        f"{len(cases)} attacks, {len(failed)} failed; p99 moved by a fifth or more in {moved} of the "
        f"{len(judged)} that were not disturbed; written: {asked.report}"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
