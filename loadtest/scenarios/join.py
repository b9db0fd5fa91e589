"""Before the measurements: with TLS every host gets its certificate over the enrolment port."""

from __future__ import annotations

import time

from loadtest.run import Run
from loadtest.site.fleet import FleetFailed

BASE_SECONDS, SECONDS_PER_HOST = 60.0, 0.2


def join(run: Run) -> None:
    """Wait until all hosts have joined.

    Raises:
        FleetFailed: A host may not join, or the time has ended.
    """
    fleet, cpu, begin = run.fleet, run.cpu(), time.monotonic()
    within = run.left(BASE_SECONDS + SECONDS_PER_HOST * fleet.size)
    run.show.begin(f"{fleet.size} hosts join, each with its own key and certificate")
    run.watch.mark("join")
    if not fleet.wait(fleet.joined, within, run.target.check):
        raise FleetFailed(
            f"{fleet.joining} of {fleet.size} hosts had joined after {within:.0f} s: is the server's "
            f"enrol.per_second low?"
        )
    took = time.monotonic() - begin
    run.details["join"] = {"seconds": round(took, 3), "server_cpu_us_per_host": run.per_agent_us(cpu)}
    run.show.say(f"   done in {took:.1f} s")
