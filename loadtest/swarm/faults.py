"""How a simulated agent may misbehave.

| fault | what it does |
|---|---|
| `slow` | reads a few bytes now and then, so that the server's writes back up |
| `dying` | its connection is cut at random moments: before or after reading, after the journal and before the answer, in the middle of an answer |
| `silent` | stays connected and neither reads nor says anything |
| `wrong`, `twice` | reports what did not happen, or twice: for proving that this harness finds it |
"""  # noqa: E501

from __future__ import annotations

from dataclasses import dataclass

KINDS = ("slow", "dying", "silent", "wrong", "twice")
LIES = ("wrong", "twice")


@dataclass(frozen=True, slots=True)
class Fault:
    """slow: `bytes` are read every `every` seconds. dying: each of four moments of an exchange cuts with this
    probability."""

    kind: str = ""
    bytes: int = 64
    every: float = 0.05
    probability: float = 0.1

    def __post_init__(self) -> None:
        if self.kind not in ("", *KINDS):
            raise ValueError(f"fault: {self.kind!r} is none of {', '.join(KINDS)}")

    @property
    def unread(self) -> bool:
        """The socket is not read as soon as something is there."""
        return self.kind in ("slow", "silent")


NONE = Fault()
