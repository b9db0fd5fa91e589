"""The event loop of a process: an epoll set, a heap of timers, and all its simulated hosts."""

from __future__ import annotations

import heapq
import random
import select
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from loadtest.swarm.agent import Agent, Now, Wake
from loadtest.swarm.config import Config, Contexts
from loadtest.swarm.names import host_id_of, hostname_of
from loadtest.swarm.peer import GREETING, TALKING, Peer
from loadtest.swarm.protocol.h2 import request_block
from loadtest.swarm.shared import Shared

PATH = "/clarion.v1.CommandService/ConnectForCommands"
EVENTS = 512


class Loop:
    """The event loop.

    Args:
        config: Settings.
        context_of: Returns the TLS context of a host by its number; None for plaintext.
        ids: Host ids assigned by the server, if any.
    """

    def __init__(self, config: Config, context_of: Contexts = lambda index: None, ids: Sequence[str] = ()) -> None:
        self.config, self.context_of, self._ids = config, context_of, ids
        self.rng = random.Random(config.seed * 1_000_003 + config.first)
        self.now = _now()
        self.shared = Shared(config.first, config.agents)
        tls = context_of(config.first) is not None
        self.block = request_block(f"{config.server_name}:{config.port}", PATH, config.token, tls=tls)
        self.connected = 0
        self.last_welcome = 0.0
        self.connect_seconds: list[float] = []
        self.reasons: dict[str, int] = {}
        self.peers = [Peer(self, self._agent(index)) for index in range(config.first, config.first + config.agents)]
        self._epoll = select.epoll()
        self._by_fd: dict[int, Peer] = {}
        self._fds: dict[Peer, int] = {}
        self._timers: list[tuple[float, int, Peer, int, Callable[..., None], tuple[Any, ...]]] = []
        self._number = 0
        self._dials: deque[Peer] = deque()
        self._dialing = 0
        self._again: deque[Peer] = deque()
        self._others: dict[int, Callable[[], None]] = {}

    def _agent(self, index: int) -> Agent:
        journal_id = f"journal-{self.rng.getrandbits(64):016x}"
        host_id = self._ids[index - self.config.first] if self._ids else host_id_of(self.config.seed, index)
        return Agent(index, host_id, hostname_of(index), journal_id, self.shared, slots=self.config.slots)

    # --- running ------------------------------------------------------------------------------------------------------

    def add_reader(self, fd: int, call: Callable[[], None]) -> None:
        """Call a function whenever this descriptor is readable."""
        self._others[fd] = call
        self._epoll.register(fd, select.EPOLLIN)

    def step(self, most: float = 1.0) -> None:
        """Wait up to `most` seconds for events and handle them."""
        wait = 0.0 if self._again or (self._dials and self._dialing < self.config.dialing) else most
        if self._timers:
            wait = min(wait, max(0.0, self._timers[0][0] - time.monotonic()))
        events = self._epoll.poll(wait, EVENTS)
        self.now = _now()
        again = list(self._again)
        self._again.clear()
        for fd, mask in events:
            peer = self._by_fd.get(fd)
            if peer is not None:
                peer.ready(mask)
            elif fd in self._others:
                self._others[fd]()
        for peer in again:
            if peer.state >= GREETING:
                peer.ready(select.EPOLLIN)
        self._run_timers()
        while self._dials and self._dialing < self.config.dialing:
            self._dialing += 1
            self._dials.popleft().dial()

    def _run_timers(self) -> None:
        mono = self.now.mono
        while self._timers and self._timers[0][0] <= mono:
            _, _, peer, generation, call, arguments = heapq.heappop(self._timers)
            if generation in (peer.generation, -1):
                call(*arguments)

    def close(self) -> None:
        for peer in self.peers:
            peer.close()
        self._epoll.close()

    # --- called by peers ----------------------------------------------------------------------------------------------

    def later(self, seconds: float, peer: Peer, call: Callable[..., None], *arguments: Any) -> None:
        """Call a function after `seconds`, if the peer still has the same connection."""
        self._at(self.now.mono + seconds, peer, peer.generation, call, arguments)

    def wake(self, peer: Peer, wake: Wake) -> None:
        """Call `peer.due` at the time of the Wake, whatever happens to the connection."""
        self._at(wake.at, peer, -1, peer.due, (wake,))

    def _at(
        self, at: float, peer: Peer, generation: int, call: Callable[..., None], arguments: tuple[Any, ...]
    ) -> None:
        self._number += 1
        heapq.heappush(self._timers, (at, self._number, peer, generation, call, arguments))

    def want_dial(self, peer: Peer) -> None:
        self._dials.append(peer)

    def again(self, peer: Peer) -> None:
        """Read from this peer again after the other peers."""
        self._again.append(peer)

    def watch(self, peer: Peer, fd: int) -> None:
        self._by_fd[fd], self._fds[peer] = peer, fd
        self._epoll.register(fd, peer.mask)

    def change(self, peer: Peer) -> None:
        self._epoll.modify(self._fds[peer], peer.mask)

    def forget(self, peer: Peer) -> None:
        fd = self._fds.pop(peer, None)
        if fd is not None:
            del self._by_fd[fd]
            self._epoll.unregister(fd)

    def welcomed(self, peer: Peer) -> None:
        self._dialing -= 1
        self.connected += 1
        self.count("welcomed")
        self.last_welcome = time.monotonic()
        self.connect_seconds.append(self.last_welcome - peer.dialed_at)

    def ended(self, peer: Peer, why: str) -> None:
        if peer.state == TALKING:
            self.connected -= 1
        else:
            self._dialing -= 1
        self.count("ended")
        if why in self.reasons or len(self.reasons) < 32:
            self.reasons[why] = self.reasons.get(why, 0) + 1

    def count(self, name: str) -> None:
        self.shared.counts[name] += 1


def _now() -> Now:
    return Now(time.monotonic(), time.time_ns() // 1_000_000)
