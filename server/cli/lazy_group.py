"""Command groups that load their verbs on use, so that `clarion --help` is quick, and the root with all exit codes."""

from __future__ import annotations

import io
import os
import sys
from difflib import get_close_matches
from functools import cached_property
from importlib import import_module
from importlib.machinery import PathFinder
from typing import Any

import click

from proto.common.missing_package import missing_package
from proto.common.modules import modules_in
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
        nouns: Package whose modules are further groups of verbs, see `server/cli/nouns`.
        nouns_behind: The verb behind which the help lists them.
        **extra: For click.Group.
    """

    def __init__(self, *args: Any, verbs: Verbs, nouns: str = "", nouns_behind: str = "", **extra: Any) -> None:
        super().__init__(*args, **extra)
        self._own, self._package, self._behind = verbs, nouns, nouns_behind

    @cached_property
    def _nouns(self) -> dict[str, str]:
        """The module of each noun's group."""
        names = modules_in(self._package) if self._package else ()
        return {name.rpartition(".")[2].replace("_", "-"): name for name in names}

    @cached_property
    def verbs(self) -> Verbs:
        """All verbs and groups in the order of the help. No module of a noun is executed for it."""
        own = list(self._own.items())
        at = next((at for at, (name, _) in enumerate(own, 1) if name == self._behind), len(own))
        return dict([*own[:at], *((name, (module, _about(module))) for name, module in self._nouns.items()), *own[at:]])

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in self._own:
            found = self._own[cmd_name][0]
            return found if isinstance(found, click.Command) else _whole(import_module(found).command)
        if cmd_name in self._nouns:
            return self._group(cmd_name)
        return None

    def _group(self, name: str) -> LazyGroup:
        """The group of a noun: its click commands in the order of its module."""
        module = import_module(self._nouns[name])
        commands = [_whole(one) for one in vars(module).values() if isinstance(one, click.Command)]
        verbs: Verbs = {str(one.name): (one, one.get_short_help_str(100)) for one in commands}
        return LazyGroup(name, verbs=verbs, help=_about(module.__name__), context_settings=self.context_settings)

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
        for name in self.verbs:
            found.append((name, name))
            verb = self._group(name) if name in self._nouns else self._own[name][0]
            if isinstance(verb, LazyGroup):
                found += [(f"{name} {way}", last) for way, last in verb.ways()]
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.verbs.items()])


def _about(module: str) -> str:
    """The first line of a module's docstring, without executing the module."""
    package = import_module(module.rpartition(".")[0])
    spec = PathFinder.find_spec(module, package.__path__)
    assert spec is not None
    loader: Any = spec.loader
    docstring = loader.get_code(module).co_consts[0]
    return str(docstring).partition("\n")[0]


def _whole(command: click.Command) -> click.Command:
    """A verb with the line about options that all verbs have."""
    if command.epilog is None and any(param.name == "token_file" for param in command.params):
        command.epilog = "Options of every command, such as --server and --context: see 'clarion --help'."
    return command


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
