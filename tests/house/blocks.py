"""Finds the shell blocks of the documentation, and compares what a command prints with what a page shows."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w+)([^\n`]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_RUN = "not-run:"
SHELLS = ("console", "sh", "bash", "shell")
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "docs/reference/api.md",
    "docs/reference/cli.md",
    *sorted(str(page.relative_to(ROOT)) for room in ("tutorial", "guide") for page in (ROOT / "docs" / room).iterdir()),
)


@dataclass(frozen=True)
class Block:
    """A shell block of a page. why_not: the reason why no test runs it, empty if a test does."""

    page: str
    line: int
    language: str
    why_not: str
    text: str


@dataclass
class Step:
    """One command of a console block, and the lines that the page shows below it."""

    command: str
    shown: list[str] = field(default_factory=list)


def blocks(page: str) -> Iterator[Block]:
    text = (ROOT / page).read_text()
    for match in BLOCK.finditer(text):
        language, info, body = match.groups()
        if language in SHELLS:
            why_not = info.partition(NOT_RUN)[2].strip()
            yield Block(page, text[: match.start()].count("\n") + 1, language, why_not, body)


def steps(block: Block) -> list[Step]:
    """The commands of a block. A block of another language than `console` is one command without output."""
    if block.language != "console":
        return [Step(block.text)]
    found: list[Step] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append(Step(line[2:]))
        elif line.startswith("> ") and not found[-1].shown:
            found[-1].command += "\n" + line[2:]
        else:
            found[-1].shown.append(line)
    return found


ALIKE = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"), "ID"),
    (re.compile(r"\b[0-9a-f]{12}\b"), "SHORT"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "SHA256"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"), "TIME"),
    (re.compile(r"\b\d+(\.\d+)? ?(ms|s)\b"), "LASTED"),
    (re.compile(r"127\.0\.0\.1:\d+"), "ADDRESS"),
    (re.compile(r"Linux \S+ \d\S+ #.*"), "UNAME"),
    (re.compile(r"Debian GNU/Linux [\w.]+ \(\w+\)"), "SYSTEM"),
    (re.compile(r"\s+"), " "),
)
PASSING = re.compile(r"^\w+: \d+ of \d+ hosts? ended")
"""Progress: how often it is shown depends on the speed of the machine."""


def system() -> str:
    """This machine's PRETTY_NAME, as agents report it."""
    named = re.search(r'^PRETTY_NAME="?([^"\n]*)', Path("/etc/os-release").read_text(), re.MULTILINE)
    return named[1] if named else ""


def comparable(lines: list[str], words: dict[str, str]) -> list[str]:
    """The lines without progress, and with everything replaced that differs from run to run or from machine to machine.

    Args:
        lines: what a command printed, or what a page shows.
        words: further texts of this machine, and what stands for them on the pages.
    """
    kept = []
    for line in lines:
        if not line.strip() or PASSING.match(line):
            continue
        for word, stands in words.items():
            line = line.replace(word, stands)
        for pattern, name in ALIKE:
            line = pattern.sub(name, line)
        kept.append(line.strip())
    return kept


def machine() -> dict[str, str]:
    """What this machine calls itself, and what the pages call it."""
    name = os.uname().nodename
    return {**({} if name == "vm" else {name: "vm"}), system(): "Debian GNU/Linux 12 (bookworm)"}
