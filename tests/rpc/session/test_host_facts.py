"""Facts of a Hello are known at once, and written to the database at a limited rate."""

from __future__ import annotations

from server.core.effects import Save, SaveHost
from server.core.events import Now
from server.fleet.registry import Registry
from server.rpc.session.hello import Facts, Hello
from server.rpc.session.host_facts import SAVES_PER_MINUTE, HostRecorder


class Clock:
    mono = 0.0

    def now(self) -> Now:
        return Now(self.mono, 1_000_000 + int(self.mono * 1000))


class Queue:
    full = False

    def __init__(self) -> None:
        self.saves: list[Save] = []

    def put(self, saves: list[Save]) -> None:
        self.saves += saves

    async def wait_room(self) -> None: ...


def hello(host: str = "a", label: int = 0) -> Hello:
    return Hello(host, "journal-1", "boot", 0, 0, 0, (), Facts(f"name{label}", "", "", "", "", {"n": str(label)}), 4, 1)


def test_changed_facts_of_one_host_are_written_a_bounded_number_of_times_a_minute() -> None:
    clock, queue, registry = Clock(), Queue(), Registry()
    memory = HostRecorder(registry, queue, clock)  # type: ignore[arg-type]
    for number in range(50):
        clock.mono += 0.1
        memory.record_hello(hello(label=number), "127.0.0.1:1")
        known = registry.host("a")
        assert known is not None and known.agent_labels == {"n": str(number)}, "what it says now is known at once"
    assert len(queue.saves) == 1 + SAVES_PER_MINUTE, "the first one makes it known"
    memory.record_hello(hello("b", 7), "127.0.0.1:1")
    assert isinstance(last := queue.saves[-1], SaveHost) and last.host.host_id == "b", (
        "another host has a budget of its own"
    )
    clock.mono += 61
    memory.record_hello(hello(label=99), "127.0.0.1:1")
    assert isinstance(last := queue.saves[-1], SaveHost) and last.host.agent_labels == {"n": "99"}


def test_unchanged_facts_are_not_written() -> None:
    clock, queue = Clock(), Queue()
    memory = HostRecorder(Registry(), queue, clock)  # type: ignore[arg-type]
    for _ in range(5):
        clock.mono += 1
        memory.record_hello(hello(), "127.0.0.1:1")
    assert len(queue.saves) == 1
