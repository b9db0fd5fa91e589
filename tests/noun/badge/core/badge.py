"""A badge: a colored mark under a code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from server.core.records import Collection


@dataclass(frozen=True, slots=True)
class Badge:
    """A badge."""

    code: str
    color: str
    tags: tuple[str, ...]
    shiny: bool
    version: int


class Badges(Collection[Badge]):
    """All badges."""

    key: ClassVar[str] = "code"


@dataclass(frozen=True, slots=True)
class Stamp:
    """The same without a collection in memory: it is read from the database when it is needed."""

    stamp_id: str
    image: bytes
    at: int
