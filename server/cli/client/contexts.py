"""Contexts: names for servers and their token files, in ~/.config/clarion/config.toml."""

from __future__ import annotations

import json
import os
import re
import tempfile
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from server.cli.client.errors import CliFailure
from server.errors import USAGE

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


@dataclass(frozen=True, slots=True)
class Context:
    """A server and the file of the token for it."""

    server: str
    token_file: str | None = None


@dataclass(slots=True)
class Contexts:
    """All contexts.

    Attributes:
        current: Name of the context in use, or None.
        known: Name to context.
    """

    current: str | None = None
    known: dict[str, Context] = field(default_factory=dict)

    def get(self, name: str, source: str) -> Context:
        """Return a context. Raises CliFailure if it does not exist; `source` tells where the name comes from."""
        if name not in self.known:
            raise CliFailure(
                USAGE,
                f"{source}: there is no context {name!r}",
                f"create it with 'clarion context set {name} --server URL'; 'clarion context list' shows all contexts",
            )
        return self.known[name]


def path_in(home: Path) -> Path:
    """Return the path of the file in a home directory."""
    return home / ".config" / "clarion" / "config.toml"


def load(home: Path) -> Contexts:
    """Read the contexts; there are none without a file. Raises CliFailure that names the error in the file."""
    path = path_in(home)
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Contexts()
    except (OSError, ValueError) as error:
        raise CliFailure(USAGE, f"{path} cannot be read: {error}", "correct the file or remove it") from None
    found = Contexts()
    current, contexts = document.pop("current", None), document.pop("contexts", {})
    if document or not isinstance(contexts, dict) or not isinstance(current, str | None):
        raise _wrong(path, next(iter(document), "contexts or current"))
    for name, entry in contexts.items():
        server = entry.get("server") if isinstance(entry, dict) else None
        token_file = entry.get("token_file") if isinstance(entry, dict) else None
        if (
            not isinstance(server, str)
            or not isinstance(token_file, str | None)
            or set(entry) - {"server", "token_file"}
        ):
            raise _wrong(path, f"contexts.{name}")
        found.known[name] = Context(server, token_file)
    found.current = current
    return found


def save(contexts: Contexts, home: Path) -> None:
    """Write the contexts atomically. Raises CliFailure."""
    path = path_in(home)
    lines = [f"current = {_text(contexts.current)}"] if contexts.current is not None else []
    for name, context in contexts.known.items():
        lines += ["", f"[contexts.{name}]", f"server = {_text(context.server)}"]
        lines += [f"token_file = {_text(context.token_file)}"] if context.token_file is not None else []
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, temporary = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write("\n".join(lines).lstrip() + "\n")
        Path(temporary).replace(path)
    except OSError as error:
        raise CliFailure(
            USAGE, f"{path} cannot be written: {error.strerror}", "check the owner and mode of the directory"
        ) from None


def _text(value: str) -> str:
    """Encode a TOML basic string. JSON's escapes are valid in TOML (toml.io 1.0, String); JSON does not escape DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _wrong(path: Path, what: str) -> CliFailure:
    return CliFailure(
        USAGE,
        f"{path}: {what} is not understood",
        'it holds current = "NAME" and [contexts.NAME] with server and token_file',
    )
