"""Translates effects of one engine to events of the other, like the real code does with messages.

Encoding and decoding every message would take half of the simulator's time, so they are translated here.
tests/tools/simulate/tests/test_translate.py compares the result with agent/session/wire.py, server/rpc and the encoded
bytes between them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from agent.core import effects as out
from agent.core import events as ev
from agent.core.model import Digest
from agent.enrolment.facts import Facts
from agent.session import wire
from proto import messages as pb
from server.core import effects as act
from server.core import events
from server.core.model import Command, Output
from server.core.results.outputs import build_output
from server.rpc.session import decode, encode
from server.rpc.session import hello as from_agent

if TYPE_CHECKING:
    from tests.tools.simulate.machines.machine import Agent

FACTS = Facts("host", "192.0.2.1", "linux", "x86_64", "1", {})


def hello(agent: Agent) -> from_agent.Hello:
    """Return what the server reads at the start of a session."""
    machine, said = agent.machine, agent.engine.hello()
    facts = from_agent.Facts(f"host-{machine.host_id}", FACTS.ip, FACTS.os, FACTS.arch, FACTS.version, {})
    entries = [(*entry.key, entry.seq, int(entry.stage)) for entry in said.entries]
    return from_agent.Hello(
        machine.host_id,
        said.journal_id,
        machine.boot_id,
        0,
        said.max_seq,
        said.max_epoch,
        entries,
        facts,
        agent.engine.config.slots,
        pb.PROTOCOL,
    )


def to_server(agent: Agent, message: out.Message) -> events.Event:
    """Return the event for the server's engine."""
    host_id = agent.machine.host_id
    match message:
        case out.Accepted():
            return events.Accepted(host_id, *message.key)
        case out.Rejected():
            return decode.to_rejected(host_id, *message.key, message.reason, message.message)
        case out.Started():
            return events.Started(host_id, *message.key, message.pid, decode.valid_time(message.started_at_ms) or 0)
        case out.Result():
            return _result(agent, message)


def _result(agent: Agent, message: out.Result) -> events.Result:
    report = message.report
    output = agent.output(message.key) if message.stored else b""
    kill = report.kill
    return events.Result(
        agent.machine.host_id,
        *message.key,
        events.Outcome(report.outcome),
        exit_code=report.exit_code,
        signal=report.signal or None,
        error_code=report.error_code or None,
        error_message=decode.clean_text(report.error_message) or None,
        agent_started_at=decode.valid_time(report.started_at_ms),
        agent_finished_at=decode.valid_time(report.finished_at_ms),
        execution_ms=report.duration_us // 1000,
        stdout=_output(report.stdout, output),
        stderr=_output(report.stderr, b""),
        report=decode._report(
            None,
            (kill.reason, kill.term_at_ms, kill.kill_at_ms, kill.tree_empty) if kill else None,
            report.pipe_held,
            report.leftovers_killed,
            report.left_running,
            report.observed,
        ),
    )


def _output(digest: Digest, kept: bytes) -> Output | None:
    return build_output(kept, b"", digest.total_bytes, digest.sha256)


Spoken = act.Welcome | act.Dispatch | act.Cancel | act.Ack | act.Forget


class Orders:
    """Translates each command once, through the messages."""

    def __init__(self) -> None:
        self._known: dict[str, ev.Dispatch] = {}

    def dispatch(self, spoken: act.Dispatch, content: Callable[[Command], pb.CommandContent]) -> ev.Dispatch:
        command_id = spoken.command.command_id
        known = self._known.get(command_id)
        if known is None:
            value = content(spoken.command)
            value.attempt = value.seq = 1
            known = self._known[command_id] = wire.dispatch(value, lambda spec: None)
        return ev.Dispatch(
            (command_id, spoken.attempt),
            spoken.seq,
            spoken.session,
            known.start_within_ms,
            known.digest,
            known.size,
            known.spec,
            known.refusal,
        )


def told(spoken: Spoken, epoch: int, credits: int, orders: Orders) -> ev.Event:
    """Return the event for the agent's engine."""
    match spoken:
        case act.Dispatch():
            return orders.dispatch(spoken, encode._content)
        case act.Ack():
            return ev.ResultAck((spoken.command_id, spoken.attempt))
        case act.Cancel():
            key = (spoken.command_id, spoken.attempt)
            return ev.Cancel(key, spoken.seq, spoken.session, spoken.journal_id, spoken.reason)
        case act.Forget():
            return ev.Forget(spoken.low)
        case act.Welcome():
            verdicts = [ev.Verdict((one.command_id, one.attempt), ev.Decision(one.decision)) for one in spoken.verdicts]
            return ev.Welcome(epoch, spoken.session, credits, verdicts)
