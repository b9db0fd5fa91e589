"""Two faults alone, with figures: changed clocks, and a partition of half of the fleet."""

from __future__ import annotations

from collections import Counter

import pytest

from server.core.states import ExecutionStatus
from tests.tools.simulate.machines.link import DOWN, UP
from tests.tools.simulate.report import replay
from tests.tools.simulate.run import play, simulated
from tests.tools.simulate.world import World

CLOCKS = {
    "enabled": frozenset({"server_clock", "agent_clock", "db_clock", "server_kill", "server_stop", "agent_kill"}),
    **{"often": 1.5, "seconds": 60.0, "longest": 40.0},
}
SEEDS = 60
HOSTS = 20
APART = {
    "enabled": frozenset(),
    "hosts": HOSTS,
    "tasks": 8,
    "slots": 16,
    "in_flight": 20_000,
    "seconds": 660.0,
    "longest": 900.0,
    "lost_after": 3600.0,
    "mass_hosts": 10,
}
ENDLESS = {"command": "true", "timeout_ms": 0, "grace_ms": 2_000, "start_within_ms": 60_000}
CUT_AT, HEALED_AT, RIGHT_WITHIN = 30.0, 630.0, 30.0


def test_clocks_that_jump_go_back_or_stand_still_end_nothing_early() -> None:
    faults, ends, failures = Counter[str](), Counter[str](), []
    with simulated():
        for seed in range(SEEDS):
            _, outcome = play(seed, aim=CLOCKS)
            faults.update(outcome.faults)
            ends.update(outcome.ends)
            failures += [f"{replay(seed)}: {failure}" for failure in outcome.failures.values()]
    clocks = sum(faults[name] for name in ("server_clock", "agent_clock", "db_clock"))
    timeouts = sum(
        count for end, count in ends.items() if "timed_out" in end or "task_timeout" in end or "expired" in end
    )
    print(
        f"clocks were set or stood {clocks} times in {SEEDS} runs; {timeouts} of {ends.total()} executions "
        f"timed out or expired, {len(failures)} runs went wrong"
    )
    assert not failures, failures
    assert clocks > 10 * SEEDS and timeouts > SEEDS


class Divided(World):
    """Drops all packets between the server and half of the hosts for ten minutes."""

    def divide(self) -> None:
        self.half = list(self.machines.values())[::2]
        for number in range(4):
            how = {"timeout_ms": None, "concurrency": None, "wait_ms": None, "retry": None}
            self.loop.at(5.0 + number, self.operators._ask, f"long-{number}", tuple(self.machines), how, ENDLESS, True)
        self.loop.at(CUT_AT, self._cut)
        self.loop.at(HEALED_AT, self._join)

    def _cut(self) -> None:
        for machine in self.half:
            machine.cut_off = True
            link = machine.agent.link if machine.agent is not None else None
            if link is not None:
                link.mute(UP)
                link.mute(DOWN)

    def _join(self) -> None:
        for machine in self.half:
            machine.cut_off = False

    def wrong(self) -> list[str]:
        """Return the rows that do not match their process."""
        wrong = []
        for (command_id, host_id), row in self.database.tables.rows.items():
            process = self.oracle.processes.get((host_id, (command_id, row.attempt)))
            ended = process is not None and process.report is not None
            if row.unreachable or row.status is ExecutionStatus.LOST:
                wrong.append(
                    f"{command_id} on {host_id} is {row.status.label} ({row.error_code}), unreachable: "
                    f"{row.unreachable}"
                )
            elif process is not None and (
                row.status.final is not ended or (not ended and row.status is not ExecutionStatus.RUNNING)
            ):
                wrong.append(
                    f"{command_id} on {host_id} is {row.status.label}, its process has "
                    f"{'ended' if ended else 'not ended'}"
                )
        return wrong


@pytest.mark.capability("K5", "Q11")
def test_after_a_partition_of_ten_minutes_every_execution_is_correct_within_half_a_minute() -> None:
    with simulated():
        for seed in range(4):
            world = Divided(seed, aim=APART)
            world.divide()
            world._until(HEALED_AT)
            cut = {machine.host_id for machine in world.half}
            away = [
                row for (_, host_id), row in world.database.tables.rows.items() if host_id in cut and row.unreachable
            ]
            running = sum(row.status is ExecutionStatus.RUNNING for row in away)
            ended = sum(
                process.ended is not None and process.ended > CUT_AT
                for (host_id, _), process in world.oracle.processes.items()
                if host_id in cut
            )
            waited = 0.0
            while (
                world.wrong() or world.server is None or len(world.server.attached) < HOSTS
            ) and waited < RIGHT_WITHIN:
                waited += 0.5
                world._until(HEALED_AT + waited)
            print(
                f"seed {seed}: {len(away)} rows unreachable, {running} of them running, {ended} ended "
                f"meanwhile; right {waited:.1f} s after the healing"
            )
            assert not world.wrong() and away and running
            assert (
                world.server is not None and len(world.server.attached) == HOSTS and world.alarms["mass_silence"] == 1
            )
            world.play()
            assert not world.wrong()
