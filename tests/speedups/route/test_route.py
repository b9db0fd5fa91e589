"""Both twins of route give every event to its handler, with the execution that a dict of all open ones would give."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from server.core.events import Accepted, Rejected, Started, Tick
from server.core.live import HostState
from server.core.model import Execution

HOSTS, COMMANDS, ATTEMPTS = ("a", "b", "c"), ("x", "y"), (1, 2)

keys = st.tuples(st.sampled_from(HOSTS), st.sampled_from(COMMANDS), st.sampled_from(ATTEMPTS))
reports = st.one_of(
    keys.map(lambda key: Accepted(*key)),
    keys.map(lambda key: Rejected(*key, "busy", "")),
    keys.map(lambda key: Started(*key, 1, 1)),
)


@dataclass(eq=False)
class RoutedExecution:
    row: Execution


def world(rows: list[tuple[str, str, int]]) -> dict[str, Any]:
    """Peers by host_id with these executions open, the last one of each host and command."""
    peers: dict[str, Any] = {}
    for host_id, command_id, attempt in rows:
        peer = peers.setdefault(host_id, HostState(host_id))
        peer.open[command_id] = RoutedExecution(Execution(command_id, host_id, attempt=attempt))
    return peers


class Told:
    """Handlers that note what they were given. An Accepted ends its execution, as a result does."""

    def __init__(self, peers: dict[str, Any]) -> None:
        self.peers, self.calls = peers, []  # type: ignore[var-annotated]

    def report(self, world: object, event: Any, execution: RoutedExecution | None) -> None:
        assert world is self
        self.calls.append((event, execution))
        if execution is not None and isinstance(event, Accepted):
            del self.peers[event.host_id].open[event.command_id]

    def other(self, world: object, event: Any) -> None:
        assert world is self
        self.calls.append((event, "other"))

    def route(self, twin: ModuleType, events: Any) -> list[Any]:
        twin.route(
            self, self.peers, events, dict.fromkeys((Accepted, Rejected, Started), self.report), {Tick: self.other}
        )
        return self.calls


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(keys, max_size=6), events=st.lists(reports | st.just(Tick()), max_size=12), whole=st.booleans())
def test_each_twin_finds_the_same_executions_as_a_dict(
    twin: ModuleType, rows: list[Any], events: list[Any], whole: bool
) -> None:
    peers = world(rows)
    everything = {
        (peer.host_id, command, one.row.attempt): one for peer in peers.values() for command, one in peer.open.items()
    }
    expected: list[Any] = []
    for event in events:
        key = (event.host_id, event.command_id, event.attempt) if not isinstance(event, Tick) else None
        expected.append((event, "other" if key is None else everything.get(key)))
        if isinstance(event, Accepted):
            everything.pop(key, None)  # type: ignore[arg-type]
    calls = Told(peers).route(twin, events if whole else tuple(events))
    assert [event for event, _ in calls] == [event for event, _ in expected]
    assert all(one is other for (_, one), (_, other) in zip(calls, expected, strict=True))


def test_an_event_without_a_handler_is_an_error_and_ends_the_batch(twin: ModuleType) -> None:
    told = Told(world([("a", "x", 1)]))
    with pytest.raises(KeyError):
        told.route(twin, [Tick(), object(), Tick()])
    assert len(told.calls) == 1


def test_an_exception_of_a_handler_is_raised(twin: ModuleType) -> None:
    def broken(world: object, event: object, execution: object) -> None:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        twin.route(None, {}, [Accepted("a", "x", 1)], {Accepted: broken}, {})


def test_a_report_without_an_execution_is_an_error_and_not_a_crash(twin: ModuleType) -> None:
    with pytest.raises(AttributeError):
        twin.route(None, {}, [Tick()], {Tick: lambda *_: None}, {})


def test_no_reference_to_looked_up_executions_is_kept(twin: ModuleType) -> None:
    peers = world([("a", "x", 1)])
    execution, event = peers["a"].open["x"], Started("a", "x", 1, 1, 1)
    before = sys.getrefcount(execution), sys.getrefcount(event)
    for _ in range(100):
        twin.route(None, peers, [event], {Started: lambda *_: None}, {})
    assert (sys.getrefcount(execution), sys.getrefcount(event)) == before
