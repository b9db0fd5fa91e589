"""Hosts on the command line: names with commas, a selector, @FILE with one of these per line, or - for stdin."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import click

from server.cli import standard_streams

FILE_LIMIT = 8 << 20
"""Maximum bytes of a file with hosts: a hundred thousand long names."""
SELECTOR_BYTES = 6_000
"""Maximum bytes of a selector in a URL."""
_SET = re.compile(r"[a-z][a-z0-9-]{0,63}(?=[\s,)]|\Z)")
_NAME = re.compile(r"[A-Za-z0-9._-]*\Z")


def targets(texts: Iterable[str], option: str = "--hosts") -> list[str]:
    """Return the targets of a request. Raises click.UsageError."""
    found: list[str] = []
    for text in texts:
        if text == "-" or (text.startswith("@") and not _is_set(text[1:])):
            found += _from_file(text, option)
        else:
            found += split(text)
    return found


def _is_set(name: str) -> bool:
    """True if the text after @ is a host set or begins a selector with one, and no file of this name exists."""
    return _SET.match(name) is not None and not Path(name).exists()


def split(text: str) -> list[str]:
    """Split a plain list of names; any other text is one selector, which the server parses."""
    names = [name.strip() for name in text.split(",")]
    return names if all(_NAME.match(name) for name in names) else [text]


def is_name(text: str) -> bool:
    """Return whether the text can only be the name or id of a host."""
    return bool(text) and _NAME.match(text) is not None


def names(texts: Iterable[str], option: str) -> list[str]:
    """Return names or ids. Raises click.UsageError for an empty one."""
    found = [name.strip() for text in texts for target in targets([text], option) for name in target.split(",")]
    if not all(found):
        raise click.UsageError(f"{option} has an empty name between its commas")
    return found


def one_selector(texts: Iterable[str]) -> str | None:
    """Join all texts to one selector; None if there are none. Raises click.UsageError."""
    given = [text for text in targets(texts, "SELECTOR") if text]
    if all(_NAME.match(text) for text in given):
        selector = ",".join(given)
    else:
        selector = " or ".join(f"({text})" if len(given) > 1 else text for text in given)
    if len(selector.encode("utf-8", "surrogatepass")) > SELECTOR_BYTES:
        raise click.UsageError(
            f"the selector is longer than {SELECTOR_BYTES:,} bytes; 'clarion hosts select' accepts longer ones"
        )
    return selector or None


def _from_file(text: str, option: str) -> list[str]:
    name = "-" if text in ("-", "@-") else text[1:]
    if not name:
        raise click.UsageError(f"{option}: @ needs the name of a file: @hosts.txt")
    shown = "standard input" if name == "-" else name
    if name == "-" and standard_streams.stdin_closed:
        raise click.UsageError(f"{option}: standard input is closed")
    try:
        with click.open_file(name if name == "-" else str(Path(name).expanduser()), "rb") as handle:
            data: bytes = handle.read(FILE_LIMIT + 1)
        lines = data.decode().splitlines()
    except OSError as error:
        raise click.UsageError(f"{option}: {shown} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise click.UsageError(f"{option}: {shown} is not UTF-8 text") from None
    if len(data) > FILE_LIMIT:
        raise click.UsageError(f"{option}: {shown} is larger than {FILE_LIMIT:,} bytes")
    found = [
        target
        for line in lines
        if (entry := line.removeprefix("\ufeff").partition(" #")[0].strip()) and not entry.startswith("#")
        for target in split(entry)
        if target
    ]
    if not found:
        raise click.UsageError(f"{option}: {shown} names no host")
    return found
