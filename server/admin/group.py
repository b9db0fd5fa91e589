"""The command group of `clarion-server`: exit codes and the list of commands."""

from __future__ import annotations

import sys
from typing import Any

import click

from server.errors import USAGE

INTERRUPTED = 130


class ServerGroup(click.Group):
    """Ends with exit code 64 for wrong usage and 130 for Ctrl-C, like `clarion`."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run the command and exit."""
        try:
            result = super().main(*args, **{**extra, "standalone_mode": False})
        except click.ClickException as error:
            error.show()
            sys.exit(USAGE)
        except click.Abort:
            sys.exit(INTERRUPTED)
        sys.exit(result if isinstance(result, int) else 0)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List each command with the whole first paragraph of its help; click would shorten it."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (name, (command.help or "").partition("\n\n")[0].replace("\n", " "))
                    for name, command in commands
                    if command is not None
                ]
            )
