"""The simulator's translation between the engines equals that of the encoded messages."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from _speedups.messages import decode as decode_row
from agent.core import effects as out
from agent.core import events as ev
from agent.session import wire
from proto.messages import CommandMessage, Rejected, decode, kind_of
from server.core import events
from server.rpc.session import decode as rows
from server.rpc.session import hello as from_agent
from server.rpc.session.encode import Encoder
from server.rpc.settings import SessionTerms
from tests.tools.simulate import translate
from tests.tools.simulate.machines.machine import Agent
from tests.tools.simulate.run import play, simulated
from tests.tools.simulate.server import CREDITS


class Heard:
    """Every message of a run, with the simulator's translation."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.up: list[tuple[str, bytes, events.Event]] = []
        self.down: list[tuple[bytes, ev.Event]] = []
        self.hellos: list[tuple[bytes, from_agent.Hello]] = []
        to_server, told, hello = translate.to_server, translate.told, translate.hello

        def spy_hello(agent: Agent) -> from_agent.Hello:
            read, machine = hello(agent), agent.machine
            facts = replace(translate.FACTS, hostname=f"host-{machine.host_id}")
            message = wire.hello(
                machine.host_id, machine.boot_id, agent.engine.hello(), facts, agent.engine.config.slots
            )
            self.hellos.append((bytes(message), read))
            return read

        def spy_up(agent: Agent, message: out.Message) -> events.Event:
            event = to_server(agent, message)
            data = bytes(
                wire.message(
                    message, lambda key, stream, digest: (agent.output(key) if stream == "stdout" else b"", b"")
                )
            )
            self.up.append((agent.machine.host_id, data, event))
            return event

        def spy_down(spoken: translate.Spoken, epoch: int, credits: int, orders: translate.Orders) -> ev.Event:
            event = told(spoken, epoch, credits, orders)
            self.down.append((Encoder(SessionTerms(epoch, CREDITS)).encode(spoken), event))
            return event

        monkeypatch.setattr(translate, "hello", spy_hello)
        monkeypatch.setattr(translate, "to_server", spy_up)
        monkeypatch.setattr(translate, "told", spy_down)


def received(host_id: str, data: bytes) -> events.Event:
    """Decode like server/rpc/session/streams.py."""
    row: tuple[Any, ...] | None = decode_row(1, data, 0, len(data))
    if row is not None and row[1] in rows.EVENTS:
        return rows.to_event(host_id, row)
    _, value = kind_of(decode(data))
    assert isinstance(value, Rejected)
    return rows.to_rejected(host_id, value.command_id, value.attempt, value.reason, value.message)


def heard(message: CommandMessage) -> ev.Event | None:
    """Decode like agent/session/session.py."""
    kind, value = kind_of(message)
    return wire.welcome(value) if kind == "welcome" else wire.event(message, lambda spec: None)  # type: ignore[arg-type]


def test_translated_and_encoded_messages_give_the_same_events(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Heard(monkeypatch)
    with simulated():
        for seed in (2, 19, 40, 53, 60, 61):
            assert not play(seed)[1].failures
    for host_id, data, event in told.up:
        assert received(host_id, data) == event
    for data, read in told.hellos:
        assert from_agent.read_hello(data) == read
    for data, spoken in told.down:
        assert heard(decode(data)) == spoken
    assert {type(event) for _, _, event in told.up} == {events.Accepted, events.Rejected, events.Started, events.Result}
    assert any(hello.entries for _, hello in told.hellos)
    assert {type(event) for _, event in told.down} == {ev.Welcome, ev.Dispatch, ev.Cancel, ev.ResultAck, ev.Forget}
