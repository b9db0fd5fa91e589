"""Command groups that load their verbs on use, so that `clarion --help` is quick, and the root with all exit codes."""

from __future__ import annotations

import io
import os
import sys
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click

from proto.common.missing_package import missing_package
from server.cli import interrupt
from server.cli.client import started
from server.cli.client.errors import BROKEN_PIPE, CliFailure
from server.cli.standard_streams import OutputLost, complain, give_up_stdout
from server.errors import SOFTWARE, UNTOLD, USAGE

Verbs = dict[str, tuple[str | click.Command, str]]


class LazyGroup(click.Group):
    """A group of verbs.

    Args:
        *args: For click.Group.
        verbs: Name to the module that holds `command`, or the command itself, and one line of help.
        **extra: For click.Group.
    """

    def __init__(self, *args: Any, verbs: Verbs, **extra: Any) -> None:
        super().__init__(*args, **extra)
        self.verbs = verbs

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.verbs:
            return None
        found = self.verbs[cmd_name][0]
        if isinstance(found, click.Command):
            return found
        command: click.Command = import_module(found).command
        if command.epilog is None and any(param.name == "token_file" for param in command.params):
            command.epilog = "Options of every command, such as --server and --context: see 'clarion --help'."
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise click.UsageError(f"No such command {args[0]!r}.{self._meant(ctx, args[0])}", ctx)
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None and not isinstance(command, click.Group):
            from server.cli.task_ids import rewrite

            rest = rewrite(command, rest)
        return name, command, rest

    def _meant(self, ctx: click.Context, word: str) -> str:
        """Return ` Did you mean …?`.

        The same verb in another group comes first, then similar verbs of this group, then similar verbs of others.
        """
        path = ctx.command_path
        root = ctx.find_root()
        assert isinstance(root.command, LazyGroup)
        near = [f"{root.command_path} {way}" for way, name in root.command.ways() if name == word.lower()]
        near = near or [f"{path} {name}" for name in get_close_matches(word.lower(), self.verbs, cutoff=0.7)]
        near = near or [
            f"{root.command_path} {way}"
            for way, name in root.command.ways()
            if get_close_matches(word.lower(), [name], cutoff=0.8)
        ]
        if not near:
            return f" The commands are: {', '.join(self.verbs)}."
        return f" Did you mean {' or '.join(repr(one) for one in near[:4])}?"

    def ways(self) -> list[tuple[str, str]]:
        """Return path and name, such as `tasks list` and `list`, of every verb in this group and its groups."""
        found = []
        for name, (verb, _) in self.verbs.items():
            found.append((name, name))
            if isinstance(verb, LazyGroup):
                found += [(f"{name} {way}", last) for way, last in verb.ways()]
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.verbs.items()])


class Root(LazyGroup):
    """The `clarion` command. It turns every end into the documented exit code, without a traceback."""

    def main(self, *args: Any, **extra: Any) -> Any:
        started.reset()
        try:
            result = super().main(*args, **{**extra, "standalone_mode": False})
            sys.stdout.flush()
        except click.ClickException as error:
            if isinstance(error, click.NoSuchOption) and error.possibilities:
                error = _option(error)
            text = io.StringIO()
            error.show(text)
            _end(text.getvalue().rstrip("\n"), UNTOLD if started.may_have_run() else USAGE)
        except CliFailure as failure:
            _end(str(failure), UNTOLD if started.may_have_run() else failure.exit_code)
        except (click.Abort, KeyboardInterrupt):
            _end("", interrupt.exit_code())
        except (OutputLost, BrokenPipeError) as lost:
            give_up_stdout()
            if isinstance(lost, BrokenPipeError) or lost.broken_pipe:
                _end("clarion: nothing reads the output any more" if started.now.task_id else "", BROKEN_PIPE)
            else:
                _end(f"clarion: standard output cannot be written: {lost.reason}", UNTOLD)
        except Exception as error:
            if os.environ.get("CLARION_TRACEBACK"):
                raise
            _end(_unexpected(error), UNTOLD if started.may_have_run() else SOFTWARE)
        sys.exit(result if isinstance(result, int) else 0)


def _option(error: click.NoSuchOption) -> click.UsageError:
    """Return the error for an unknown option in the style of other errors; it proposes only similar options."""
    near = get_close_matches(error.option_name, error.possibilities or (), cutoff=0.7)
    return click.UsageError(f"{error.message}{f' Did you mean {near[0]!r}?' if near else ''}", error.ctx)


def _unexpected(error: Exception) -> str:
    missing = missing_package(error) if isinstance(error, ModuleNotFoundError) else None
    if missing is not None:
        return f"clarion: {missing[0]}; {missing[1]}"
    return (
        f"clarion: internal error: {type(error).__name__}: {error}; set CLARION_TRACEBACK=1 to see where, and report it"
    )


def _end(message: str, code: int) -> None:
    """Print one message, with the task of this call if there is one, and exit."""
    remark = started.remark()
    if message or remark:
        complain("; ".join(part for part in (message, remark) if part) if message else f"clarion: {remark}")
    try:
        sys.stdout.flush()
    except (OutputLost, OSError):
        give_up_stdout()
    sys.exit(code)
