"""The `clarion` command."""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn

import click

from server.cli import completion, interrupt, standard_streams
from server.cli.lazy_group import LazyGroup, Root

_SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 110}

_TASKS: dict[str, tuple[str | click.Command, str]] = {
    "list": ("server.cli.commands.tasks.list", "List tasks, newest first."),
    "show": ("server.cli.commands.tasks.show", "Show one task; --wait attaches to it."),
    "create": ("server.cli.commands.tasks.create", "Create a task without starting it."),
    "start": ("server.cli.commands.tasks.start", "Start a pending task."),
    "cancel": ("server.cli.commands.tasks.cancel", "Cancel a pending or running task."),
    "rerun": ("server.cli.commands.tasks.rerun", "Run a task again on some of its hosts."),
    "progress": ("server.cli.commands.tasks.progress", "Show the progress of a task; --follow until it ends."),
    "hosts": ("server.cli.commands.tasks.hosts", "List the state and result of each host of a task."),
    "output": ("server.cli.commands.tasks.output", "Print the output of a command on one host."),
    "groups": ("server.cli.commands.tasks.groups", "Show the results of a task, equal results grouped."),
    "diff": ("server.cli.commands.tasks.diff", "Show how results differ from the largest group."),
    "search": ("server.cli.commands.tasks.search", "Search all outputs of a task."),
    "delete": ("server.cli.commands.tasks.delete", "Delete a task that has ended."),
}
_HOSTS: dict[str, tuple[str | click.Command, str]] = {
    "list": ("server.cli.commands.hosts.list", "List hosts and whether they are online."),
    "select": ("server.cli.commands.hosts.select", "Show which hosts match a selector."),
    "show": ("server.cli.commands.hosts.show", "Show one host."),
    "label": ("server.cli.commands.hosts.label", "Set or remove labels of hosts."),
    "rename": ("server.cli.commands.hosts.rename", "Rename a host."),
    "replace": ("server.cli.commands.hosts.replace", "Replace an offline host by another one."),
    "delete": ("server.cli.commands.hosts.delete", "Delete hosts that are offline."),
    "revoke": ("server.cli.commands.hosts.revoke", "Revoke a host's certificate and disconnect it."),
    "release": ("server.cli.commands.hosts.release", "Let a revoked, quarantined or expired host join again."),
    "orphans": ("server.cli.commands.hosts.orphans", "List executions that the database has lost."),
}
_JOIN: dict[str, tuple[str | click.Command, str]] = {
    "create": ("server.cli.commands.join_token.create", "Create a join token."),
    "list": ("server.cli.commands.join_token.list", "List join tokens."),
    "delete": ("server.cli.commands.join_token.delete", "Delete join tokens."),
}
_APPROVAL: dict[str, tuple[str | click.Command, str]] = {
    "pending": ("server.cli.commands.join.pending", "List pending join requests."),
    "approve": ("server.cli.commands.join.approve", "Approve pending join requests."),
    "deny": ("server.cli.commands.join.deny", "Deny pending join requests."),
}
_CONTEXT: dict[str, tuple[str | click.Command, str]] = {
    "list": ("server.cli.commands.context.list", "List contexts."),
    "current": ("server.cli.commands.context.current", "Show which context is in use."),
    "use": ("server.cli.commands.context.use", "Make a context the current one."),
    "set": ("server.cli.commands.context.set", "Create or change a context."),
    "rename": ("server.cli.commands.context.rename", "Rename a context."),
    "delete": ("server.cli.commands.context.delete", "Delete contexts."),
}

tasks = LazyGroup("tasks", verbs=_TASKS, help="Show and control tasks.", context_settings=_SETTINGS)
hosts = LazyGroup("hosts", verbs=_HOSTS, help="Show, label and manage hosts.", context_settings=_SETTINGS)
context = LazyGroup(
    "context",
    verbs=_CONTEXT,
    help="Manage contexts: named servers and tokens in ~/.config/clarion/config.toml.",
    context_settings=_SETTINGS,
)
join_token = LazyGroup(
    "join-token", verbs=_JOIN, help="Manage join tokens, with which machines become hosts.", context_settings=_SETTINGS
)
join = LazyGroup("join", verbs=_APPROVAL, help="Approve or deny join requests.", context_settings=_SETTINGS)

_HELP = """Run commands on many hosts through a Clarion server.

\b
The options below may stand before or after any command name.
TASK is an id, its last characters, 'last', or -1, -2, ... from the newest.
HOSTS is names with commas, a selector, 'all', @FILE, or - for standard input.

\b
Exit codes: 0 every host completed; 2 some failed; 3 some were lost or not
started, and none failed; 4 canceled; 5 timed out; 64 wrong usage; 69 no server;
70 internal error, nothing was run; 74 it was run, or may have been, and its end
could not be told; 75 'wait' was over first; 77 no permission; 130 interrupted,
143 terminated (the task goes on); 141 nothing reads the output (the task goes on).
"""


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from importlib.metadata import version

        standard_streams.say(f"clarion {version('clarion')}")
        ctx.exit()


@click.group(
    cls=Root,
    verbs={
        "run": ("server.cli.commands.run", "Run a command on hosts and wait for all results."),
        "attach": ("server.cli.commands.attach", "Wait for a task and show each result as hosts end."),
        "wait": ("server.cli.commands.wait", "Wait until tasks have ended, without showing results."),
        "watch": ("server.cli.commands.watch", "Watch a task's progress and results until it ends."),
        "logs": ("server.cli.commands.logs", "Print the output of a task's hosts."),
        "tasks": (tasks, "Show and control tasks."),
        "hosts": (hosts, "Show, label and manage hosts."),
        "join-token": (join_token, "Manage join tokens, with which machines become hosts."),
        "join": (join, "Approve or deny join requests."),
        "stats": ("server.cli.commands.stats", "Show the server's counters."),
        "whoami": ("server.cli.commands.whoami", "Show the server and the name of the token in use."),
        "context": (context, "Manage contexts: named servers and tokens."),
        "completion": ("server.cli.commands.completion", "Print the completion for bash, zsh or fish."),
        "help": ("server.cli.commands.help", "Show the help of a command."),
    },
    nouns="server.cli.nouns",
    nouns_behind="hosts",
    help=_HELP,
    context_settings=_SETTINGS,
)
@click.option(
    "--server", metavar="URL", help="Default: $CLARION_SERVER, else the context's, else http://127.0.0.1:8440."
)
@click.option(
    "--token-file",
    metavar="FILE",
    help="Default: $CLARION_TOKEN, $CLARION_TOKEN_FILE, the context's, ./data/admin.token, ~/.config/clarion/token.",
)
@click.option(
    "--context",
    "named",
    metavar="NAME",
    help="Default: $CLARION_CONTEXT, else the one in use; see 'clarion context'.",
    shell_complete=completion.contexts,
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
@click.pass_context
def cli(ctx: click.Context, server: str | None, token_file: str | None, named: str | None) -> None:
    ctx.obj = {"server": server, "token_file": token_file, "context": named}
    if os.environ.get("NO_COLOR"):
        ctx.color = False


def _utf8(word: str) -> str:
    """Decode a word of the command line as UTF-8.

    Python decodes it by the locale, which may be ASCII, and keeps other bytes as lone surrogates.
    """
    try:
        return os.fsencode(word).decode()
    except UnicodeDecodeError:
        return word


def main() -> NoReturn:
    standard_streams.secure()
    interrupt.handle_sigterm()
    cli.main([_utf8(word) for word in sys.argv[1:]], prog_name="clarion")
    raise AssertionError("click returned")


if __name__ == "__main__":
    main()
