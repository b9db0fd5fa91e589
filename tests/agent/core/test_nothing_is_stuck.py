"""Every unfinished stage of an execution, the event that ends it, and that it ends when every part does its minimum."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

import pytest

from agent.core import effects as out
from agent.core import events as ev
from agent.core.engine import Engine
from agent.core.journal import Exit, Intent, KillIntent, Record, Started
from agent.core.model import Now, Outcome, Report, Stage
from agent.core.runtime import EngineConfig
from agent.core.state import fold
from agent.shim import client
from tests.agent.conftest import BOOT, REPORT

KEY = ("a", 1)
INTENT = Intent(*KEY, 1, BOOT, b"", 10, 1)
RUNS = Started(*KEY, 7, 8, BOOT, 2)
RETRY, JOURNAL, DIALS = 2_000, 50, 75_000
"""Milliseconds: between two attempts of a failed journal; duration of a write; until a lost connection is open again
(45 s
of silence, a pause, and the Hello).
"""
SPAWNS = int(1000 * (client._TRIES * (client.ANSWER_SECONDS + client.END_SECONDS) + client.CLAIM_SECONDS))
TIMEOUT, GRACE = 60_000, 5_000
OVER = (Stage.ACKED, Stage.TOMB)


class Host:
    """An engine whose world does for each effect what it has to do, as late as it may, and nothing else: the journal's
    thread, the
    runner, the shim, the server. broken: so many of the journal's next writes fail. hung: no fork server answers."""

    def __init__(self, *records: Record) -> None:
        self.engine = Engine(fold(records), "j1", BOOT, EngineConfig(retry_ms=RETRY))
        self.broken, self.hung = 0, False
        self.ms = self._number = 0
        self._due: list[tuple[int, int, Callable[[], ev.Event]]] = []
        self.tell(ev.Welcome(1, 1, 0))

    @property
    def stage(self) -> Stage:
        execution = self.engine.state.executions.get(KEY)
        return execution.stage if execution is not None else Stage.TOMB

    def tell(self, event: ev.Event) -> None:
        for effect in self.engine.handle(event, Now(self.ms, self.ms)):
            self._owe(effect)

    def next(self) -> None:
        """What is due next happens."""
        assert self._due, f"nothing ends {self.stage.name}"
        self.ms, _, happens = heappop(self._due)
        self.tell(happens())

    def _in(self, ms: int, happens: Callable[[], ev.Event]) -> None:
        self._number += 1
        heappush(self._due, (self.ms + ms, self._number, happens))

    def _owe(self, effect: out.Effect) -> None:
        match effect:
            case out.Append() | out.Rewrite():
                self._in(JOURNAL, lambda: self._written(effect.position))
            case out.Wake():
                self._in(effect.at_ms - self.ms, ev.Tick)
            case out.Spawn():
                self._in(SPAWNS, self._forked)
            case out.Stop():
                self.shim_ends_in(GRACE)
            case out.Send(out.Result()):
                self._in(1, lambda: ev.ResultAck(KEY))
            case out.Send() | out.Remove() | out.Note():
                pass

    def _written(self, position: int) -> ev.Event:
        self.broken -= 1
        return ev.JournalFailed("no space left") if self.broken >= 0 else ev.JournalDurable(position)

    def _forked(self) -> ev.Event:
        if self.hung:
            return ev.ShimExited(KEY, Report(Outcome.FAILED, error_code="spawn_failed"))
        self.shim_ends_in(TIMEOUT + GRACE)
        return ev.ShimStarted(KEY, 7, 8, BOOT)

    def shim_ends_in(self, ms: int) -> None:
        self._in(ms, lambda: ev.ShimExited(KEY, REPORT))

    def lose_connection(self) -> None:
        self.tell(ev.Disconnected())
        self._in(DIALS, lambda: ev.Welcome(1, 2, 0))


def dispatched() -> Host:
    host = Host()
    host.tell(ev.Dispatch(KEY, 1, 1, 10_000, b"", 10, "spec"))
    return host


def accepted() -> Host:
    host = dispatched()
    host.next()
    return host


def running() -> Host:
    """Return an execution as a restarted agent finds it."""
    host = Host(INTENT, RUNS)
    host.tell(ev.ShimAdopted(KEY))
    host.shim_ends_in(TIMEOUT + GRACE)
    return host


def died_before_the_fork() -> Host:
    """The previous agent died between INTENT and the fork; this one detects it before it connects."""
    host = Host(INTENT)
    host.shim_ends_in(0)
    return host


def endless() -> Host:
    """A command without a timeout runs until it is canceled."""
    host = Host(INTENT, RUNS)
    host.tell(ev.ShimAdopted(KEY))
    host.tell(ev.Cancel(KEY, 1, 1, "j1", "canceled"))
    return host


def being_killed() -> Host:
    host = Host(INTENT, RUNS, KillIntent(*KEY, "canceled", 3))
    host.tell(ev.ShimAdopted(KEY))
    return host


def done() -> Host:
    host = Host(INTENT, RUNS, Exit(*KEY, REPORT, 3))
    host.lose_connection()
    return host


# What is open, its stage, and what ends it.
CASES: list[tuple[Callable[..., Host], Stage, str]] = [
    (dispatched, Stage.INTENT, "the journal's answer: a start, or a refusal"),
    (accepted, Stage.INTENT, "the runner's word on its shim, the fork server's deadlines long"),
    (died_before_the_fork, Stage.INTENT, "recovery's word at the start of the agent"),
    (running, Stage.RUNNING, "the shim: timeout and grace"),
    (endless, Stage.RUNNING, "a cancel, then the grace"),
    (being_killed, Stage.RUNNING, "the grace"),
    (done, Stage.DONE, "the server's ack: in this session or after the next Welcome"),
]
TROUBLES = ["no trouble", "the journal fails three times", "no fork server answers", "the connection is lost"]


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize(("begin", "stage", "ended_by"), CASES, ids=[case[0].__name__ for case in CASES])
def test_every_open_stage_has_an_event_that_ends_it(
    begin: Callable[[], Host], stage: Stage, ended_by: str, trouble: str
) -> None:
    host = begin()
    assert host.stage is stage
    if trouble == TROUBLES[1]:
        host.broken = 3
    elif trouble == TROUBLES[2]:
        host.hung = True
    elif trouble == TROUBLES[3]:
        host.lose_connection()
    steps = 0
    while host.stage not in OVER:
        host.next()
        steps += 1
        assert steps < 30, f"it is put off for ever; {ended_by} should end it"
    assert host.ms <= 1 + SPAWNS + TIMEOUT + GRACE + DIALS + 10 * (RETRY + JOURNAL)
    assert not host.engine.running


def test_every_stage_that_is_not_final_is_tested() -> None:
    assert {case[1] for case in CASES} == set(Stage) - set(OVER)


def test_acknowledged_executions_and_tombstones_are_removed_in_the_end() -> None:
    host = done()
    while host.stage not in OVER:
        host.next()
    assert host.stage is Stage.ACKED and host.engine.hello().entries
    host.tell(ev.Forget(1))
    assert host.stage is Stage.TOMB and not host.engine.hello().entries
