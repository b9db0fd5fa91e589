"""Groups whose verbs are loaded when they are used, so that `clarion --help` stays quick."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

import click

from server.cli.failure import BROKEN_PIPE, INTERRUPTED, CliFailure
from server.errors import SOFTWARE, USAGE


class LazyGroup(click.Group):
    """`verbs`: name → (module that holds `command`, or the command itself; one line of help)."""

    def __init__(self, *args: Any, verbs: dict[str, tuple[str | click.Command, str]], **extra: Any) -> None:
        super().__init__(*args, **extra)
        self._verbs = verbs

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._verbs:
            return None
        found = self._verbs[cmd_name][0]
        if isinstance(found, click.Command):
            return found
        command: click.Command = import_module(found).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self._verbs.items()])


class Root(LazyGroup):
    """The whole command: turns every end into the documented exit code, without a traceback for what a user can mend."""

    def main(self, *args: Any, **extra: Any) -> Any:
        try:
            result = super().main(*args, **{**extra, "standalone_mode": False})
            sys.stdout.flush()
        except click.ClickException as error:
            error.show()
            sys.exit(USAGE)
        except CliFailure as failure:
            click.echo(str(failure), err=True)
            sys.exit(failure.exit_code)
        except (click.Abort, KeyboardInterrupt):
            sys.exit(INTERRUPTED)
        except BrokenPipeError:
            # Python flushes standard output once more on exit, and would complain.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            sys.exit(BROKEN_PIPE)
        except Exception as error:
            if os.environ.get("CLARION_TRACEBACK"):
                raise
            click.echo(f"clarion: internal error: {type(error).__name__}: {error}; set CLARION_TRACEBACK=1 to see where, and report it", err=True)
            sys.exit(SOFTWARE)
        sys.exit(result if isinstance(result, int) else 0)
