"""One attack in a separate process: `python -m tests.tools.attack.attacker`, configured by one line of
JSON on stdin.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from tests.tools.attack.attacks import ATTACKS, Attack
from tests.tools.attack.link import AGENT, GUEST, HEADER, IDENTITIES, NOBODY, Aim, Cut, Link
from tests.tools.attack.plays import Play, called, opened

TICK = 0.002
IDLE, BURN = "idle", "burn"
"""Baselines instead of attacks: a process that sleeps, and one that computes."""


@dataclass
class Outcome:
    """Result of an attack.

    Attributes:
        frames: Frames that the server's end has accepted.
        answers: Number of connections by how they ended.
        took: Seconds from the first byte of a connection to its end.
        left: Connections still open at the end of the patience.
        cpu: Seconds of this process.
    """

    connections: int = 0
    frames: int = 0
    bytes: int = 0
    answers: dict[str, int] = field(default_factory=dict)
    took: list[float] = field(default_factory=list)
    left: int = 0
    cpu: float = 0.0

    def ended(self, answer: str, seconds: float) -> None:
        self.answers[answer] = self.answers.get(answer, 0) + 1
        self.took.append(seconds)


class Slot:
    """One connection with its attack."""

    def __init__(self, attack: Attack, aim: Aim, hold: float) -> None:
        self.began = time.monotonic()
        self.link = Link(aim)
        self.link.open()
        play = attack.play()
        self.play: Play = (
            play if aim.who in (AGENT, NOBODY) else called(play, aim.token) if aim.who == GUEST else opened(play)
        )
        self.due, self.data, self.half, self.reads = 0.0, b"", attack.half, attack.reads
        self.looks_up = self.began + hold if attack.looks_up else float("inf")
        self.frames = 0

    def step(self, now: float) -> bool:
        """Continue the attack; return whether anything was done.

        Raises:
            Cut: The server has ended the connection.
        """
        if self.reads or now >= self.looks_up:
            self.link.read()
        elif not self.data:
            self._peek()
        if now < self.due:
            return False
        if not self.data:
            step = next(self.play)
            if isinstance(step, float):
                self.due = now + step
                return False
            self.data = step
        count = self.link.send(self.data)
        if count:
            self.frames += max(1, self.data[:count].count(self.data[:HEADER])) if len(self.data) > HEADER else 0
            self.data = self.data[count:]
        else:
            self._peek()
        if self.half and not self.data:
            self.half = False
            with suppress(OSError):
                self.link.sock.shutdown(socket.SHUT_WR)
        return count > 0

    def _peek(self) -> None:
        """Check the socket for its end without reading."""
        state = self.link.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        if state in (7, 8):  # closed, close-wait (netinet/tcp.h)
            self.link.read()
            raise Cut(self.link.goaway or "closed")


def run(attack: Attack, aim: Aim, seconds: float, connections: int, patience: float, hold: float = 0.0) -> Outcome:
    """Attack for some seconds, or with a number of connections; then wait for the server to end open ones.

    Args:
        hold: Seconds after which an attacker that does not read checks for its end.
    """
    width = min(attack.width, connections or attack.width)
    done, slots = Outcome(), list[Slot]()
    end = time.monotonic() + seconds
    while True:
        now = time.monotonic()
        more = now < end and (not connections or done.connections < connections)
        if more and len(slots) < width:
            done.connections += 1
            try:
                slots.append(
                    Slot(
                        attack,
                        replace(
                            aim,
                            number=aim.number
                            + (done.connections % width if aim.number else done.connections % IDENTITIES),
                        ),
                        hold,
                    )
                )
            except Cut as cut:
                done.ended(str(cut), time.monotonic() - now)
        if not more and (not slots or now > end + patience or attack.must == "ignore"):
            break
        busy = False
        for slot in list(slots):
            try:
                busy = slot.step(now) or busy
            except Cut as cut:
                slots.remove(slot)
                _over(done, slot, str(cut))
        if connections and not slots and done.connections >= connections:
            break
        if connections and attack.must == "ignore" and slots and now - slots[0].began > 1.0:
            break
        if not busy and (not more or len(slots) == width):
            time.sleep(TICK)
    done.left = len(slots)
    for slot in slots:
        _over(done, slot, "")
    done.cpu = time.process_time()
    return done


def _over(done: Outcome, slot: Slot, answer: str) -> None:
    slot.link.close()
    done.frames += slot.frames
    done.bytes += slot.link.sent
    if answer:
        done.ended(answer, time.monotonic() - slot.began)


def control(kind: str, seconds: float) -> Outcome:
    end = time.monotonic() + seconds
    if kind == IDLE:
        time.sleep(seconds)
    while time.monotonic() < end:
        pass
    return Outcome(cpu=time.process_time())


def obey(order: dict[str, Any]) -> Outcome:
    if order["name"] in (IDLE, BURN):
        return control(order["name"], order["seconds"])
    attack = ATTACKS[order["name"]]
    aim = Aim(
        **{**order["aim"], "address": tuple(order["aim"]["address"])},
        window=attack.window,
        receive_buffer=attack.receive_buffer,
        claims=attack.claims,
        facts=attack.facts,
    )
    return run(attack, aim, order["seconds"], order["connections"], order["patience"], order["hold"])


if __name__ == "__main__":
    json.dump(asdict(obey(json.loads(sys.stdin.readline()))), sys.stdout)
