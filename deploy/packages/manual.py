"""Renders the manual page and the shell completions of a click program.

Usage: `python -I -S manual.py FOLDER MODULE:GROUP COMMAND VERSION DATE`. FOLDER holds the program and its libraries.
It prints one JSON object with the keys man, bash, zsh and fish. It loads every command, so it fails if the folder
lacks a module that a command imports.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click

SHELLS = ("bash", "zsh", "fish")
NO_REWRAP = "\b"
"""click's mark of a paragraph whose lines stay as they are."""
FILES = {
    "clarion-server": (
        ("/etc/clarion/server.toml", "Settings."),
        ("/var/lib/clarion", "Database, CA, tokens and certificates."),
        ("/var/backups/clarion", "Backups of clarion-backup.timer, and those before changes of the schema."),
    ),
    "clarion-agent": (
        ("/etc/clarion/agent.toml", "Settings."),
        ("/var/lib/clarion-agent", "Identity, journal and results that the server has not acknowledged yet."),
    ),
    "clarion": (("~/.config/clarion", "Contexts: servers and token files."),),
}
SEE = {
    "clarion-server": ("clarion(1)", "clarion-agent(1)", "systemctl(1)", "journalctl(1)"),
    "clarion-agent": ("clarion-server(1)", "systemctl(1)", "journalctl(1)"),
    "clarion": ("clarion-server(1)",),
}


def escape(text: str) -> str:
    """Escape text for roff: backslashes, dashes, and a control character at the start of a line."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-")
    return "\n".join(rf"\&{line}" if line.startswith((".", "'")) else line for line in escaped.split("\n"))


def paragraphs(text: str) -> Iterator[str]:
    """Turn a help text into roff."""
    for block in text.split("\n\n"):
        lines = [line.strip() for line in block.strip().split("\n")]
        if lines[0] == NO_REWRAP:
            yield ".PP\n.nf\n" + escape("\n".join(lines[1:])) + "\n.fi"
        elif any(lines):
            yield ".PP\n" + escape(" ".join(lines))


def options(command: click.Command, ctx: click.Context) -> Iterator[str]:
    """List the options of a command."""
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is not None:
            yield f".TP\n\\fB{escape(record[0])}\\fR\n{escape(record[1]) or '(no description)'}"


def describe(command: click.Command, ctx: click.Context) -> list[str]:
    """Return help and epilog of a command."""
    text = "\n\n".join(part for part in (command.help, command.epilog) if part)
    return list(paragraphs(text.partition("\f")[0]))


def verbs(group: click.Group, ctx: click.Context) -> Iterator[str]:
    """Describe every command of a group and of its groups."""
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        if command is None or command.hidden:
            continue
        inner = command.context_class(command, parent=ctx, info_name=name, **command.context_settings)
        usage = " ".join([inner.command_path, *command.collect_usage_pieces(inner)])
        yield f".SS {escape(usage)}"
        yield from describe(command, inner)
        yield from options(command, inner)
        if hasattr(command, "list_commands"):
            yield from verbs(command, inner)  # type: ignore[arg-type]


def page(group: click.Group, command: str, version: str, date: str) -> str:
    """Return the manual page."""
    ctx = group.context_class(group, info_name=command, **group.context_settings)
    help_text = (group.help or "").strip()
    summary = help_text.split("\n\n")[0].replace("\n", " ").rstrip(".")
    lines = [f'.TH {command.upper()} 1 "{date}" "Clarion {version}" "User Commands"', ".nh", ".ad l"]
    lines += [".SH NAME", f"{escape(command)} \\- {escape(summary)}"]
    lines += [".SH SYNOPSIS", f"\\fB{escape(command)}\\fR {escape(' '.join(group.collect_usage_pieces(ctx)))}"]
    lines += [".SH DESCRIPTION", *describe(group, ctx)]
    lines += [".SH OPTIONS", *options(group, ctx)]
    lines += [".SH COMMANDS", *verbs(group, ctx)]
    lines += [".SH FILES", *(f".TP\n\\fI{escape(path)}\\fR\n{text}" for path, text in FILES.get(command, ()))]
    lines += [".SH SEE ALSO", escape(", ".join(SEE.get(command, ())))]
    return "\n".join(lines) + "\n"


def completion(group: click.Group, command: str, shell: str) -> str:
    """Return the completion script for a shell."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(group, {}, command, f"_{command.upper().replace('-', '_')}_COMPLETE")
    return script.source_template % script.source_vars()


def main(folder: str, place: str, command: str, version: str, date: str) -> None:
    """Print the JSON object."""
    sys.path.insert(0, folder)
    module, name = place.split(":")
    group = getattr(importlib.import_module(module), name)
    rendered = {shell: completion(group, command, shell) for shell in SHELLS}
    print(json.dumps({"man": page(group, command, version, date), **rendered}))


if __name__ == "__main__":
    main(*sys.argv[1:6])
