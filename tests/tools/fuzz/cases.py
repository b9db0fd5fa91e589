"""Fuzzing cases for the HTTP/2 fast path: a number determines a mutant of recorded agent traffic."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

from tests.speedups.http2.kit import DATA, frame, grpc
from tests.tools.fuzz.lane_sessions import Step, frames_of, message, session, spoil, spoil_frames

MESSAGES, SESSIONS = 600, 80
SHARE_OF_MESSAGES, SHARE_OF_FRAMES = 0.80, 0.19


@dataclass(frozen=True)
class Case:
    """One case.

    Attributes:
        kind: message, frames or session.
        data: Bytes of a message or of frames.
        steps: Steps of a session.
        cuts: How the bytes of a session are cut.
    """

    kind: str
    data: bytes = b""
    steps: tuple[Step, ...] = ()
    cuts: int = 0


@cache
def recorded() -> tuple[list[bytes], list[list[Step]]]:
    """Return encoded messages and whole sessions; encoded once, because that takes longer than mutating them."""
    rng = Random(0)
    return [message(rng) for _ in range(MESSAGES)], [session(rng) for _ in range(SESSIONS)]


def make(number: int) -> Case:
    rng = Random(number)
    messages, sessions = recorded()
    kind = rng.random()
    if kind < SHARE_OF_MESSAGES:
        return Case("message", spoil(rng, rng.choice(messages)))
    if kind < SHARE_OF_MESSAGES + SHARE_OF_FRAMES:
        return Case("frames", _frames(rng, messages))
    steps = list(rng.choice(sessions))
    at = rng.choice([place for place, (name, _) in enumerate(steps) if name == "give"])
    given = steps[at][1]
    steps[at] = ("give", spoil(rng, given) if rng.random() < 0.5 else spoil_frames(rng, given))
    return Case("session", steps=tuple(steps), cuts=rng.randrange(1 << 30))


def _frames(rng: Random, messages: list[bytes]) -> bytes:
    if rng.random() < 0.5:
        data = b"".join(
            frames_of(rng, b"".join(grpc(spoil(rng, rng.choice(messages))) for _ in range(rng.randrange(1, 4))))
        )
        return data + frame(DATA, 0, 1, spoil(rng, grpc(rng.choice(messages)))[:16_384])
    data = b"".join(frames_of(rng, grpc(rng.choice(messages))))
    return spoil_frames(rng, data) if rng.random() < 0.7 else spoil(rng, data)


# --- kept cases
# --------------------------------------------------------------------------------------------------------------


def keep(folder: Path, number: int, begun: int, why: str) -> Path:
    """Write a failed case to a file. `begun`: the case for which the connection was new."""
    case = make(number)
    steps = [[name, _to_json(value)] for name, value in case.steps]
    content = {
        "case": number,
        "begun": begun,
        "why": why,
        "kind": case.kind,
        "data": case.data.hex(),
        "steps": steps,
        "cuts": case.cuts,
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"case-{number}.json"
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path


def kept(path: Path) -> Case:
    """Return the exact bytes of a failed case, whatever `make` returns for its number now.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file is invalid.
        KeyError: A field is missing.
    """
    found = json.loads(path.read_text())
    steps = tuple((name, _from_json(value)) for name, value in found["steps"])
    return Case(found["kind"], bytes.fromhex(found["data"]), steps, found["cuts"])


def _to_json(value: object) -> object:
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    return [_to_json(one) for one in value] if isinstance(value, list) else value


def _from_json(value: object) -> object:
    if isinstance(value, dict):
        return bytes.fromhex(value["bytes"])
    return [_from_json(one) for one in value] if isinstance(value, list) else value
