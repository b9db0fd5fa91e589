"""Faults of a simulated agent.

| fault | what it does |
|---|---|
| `slow` | reads a few bytes now and then, so that the server's writes back up |
| `dying` | its connection is cut at random times: before or after reading, between journal and answer, in the middle of an answer |
| `silent` | stays connected and neither reads nor sends |
| `wrong`, `twice` | sends a false report, or a report twice, to prove that this harness finds it |
"""  # noqa: E501

from __future__ import annotations

from dataclasses import dataclass

KINDS = ("slow", "dying", "silent", "wrong", "twice")
LIES = ("wrong", "twice")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes:
        bytes: For slow: bytes per read.
        every: For slow: seconds between reads.
        probability: For dying: probability of a cut at each of the four moments of an exchange.
    """

    kind: str = ""
    bytes: int = 64
    every: float = 0.05
    probability: float = 0.1

    def __post_init__(self) -> None:
        if self.kind not in ("", *KINDS):
            raise ValueError(f"fault: {self.kind!r} is none of {', '.join(KINDS)}")

    @property
    def unread(self) -> bool:
        """True if the socket is not read when data arrives."""
        return self.kind in ("slow", "silent")


NONE = Fault()
