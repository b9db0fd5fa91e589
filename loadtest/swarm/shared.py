"""Data shared by all simulated hosts of a process: parsed commands, and how often each host started each command."""

from __future__ import annotations

from collections import Counter

from loadtest.swarm.commands import Plan, plan, words_of
from loadtest.swarm.protocol.decode import Content
from proto.common.lru import LruCache

COMMANDS_KEPT = 4_096


class Shared:
    """Shared data.

    Attributes:
        first: Number of the first host of this process.
        counts: Event counters by name.
    """

    def __init__(self, first: int, agents: int) -> None:
        self.first, self.agents = first, agents
        self.counts: Counter[str] = Counter()
        self._plans: LruCache[str, tuple[str, Plan]] = LruCache(COMMANDS_KEPT)
        self._starts: LruCache[str, bytearray] = LruCache(COMMANDS_KEPT)

    def plan_of(self, content: Content) -> tuple[str, Plan]:
        """Return the single text object of this command_id, and the plan. A command_id always means the
        same command.
        """
        known = self._plans.get(content.command_id)
        if known is None:
            words = words_of(content.command, content.argv, content.script.decode("utf-8", "replace"), content.args)
            known = (content.command_id, plan(words))
            self._plans.put(content.command_id, known)
        return known

    def started(self, command_id: str, index: int) -> None:
        """Count one start of this command on this host."""
        self.counts["started"] += 1
        starts = self._starts.get(command_id)
        if starts is None:
            starts = bytearray(self.agents)
            self._starts.put(command_id, starts)
        starts[index - self.first] = min(255, starts[index - self.first] + 1)

    def starts_of(self, command_id: str) -> bytes:
        """Return the number of starts, one byte per host of this process in order."""
        return bytes(self._starts.get(command_id) or bytes(self.agents))
