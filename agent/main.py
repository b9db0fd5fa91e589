"""The command line of the agent: `clarion-agent join`, `clarion-agent run` and `clarion-agent status`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

import click

from agent import __version__
from agent.errors import AgentError


class _Commands(click.Group):
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The first sentence of each command's help, whole: click would cut it."""
        with formatter.section("Commands"):
            commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
            formatter.write_dl(
                [
                    (name, (command.help or "").partition("\n\n")[0].replace("\n", " "))
                    for name, command in commands
                    if command is not None
                ]
            )


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="clarion-agent", message="%(prog)s %(version)s")
def cli() -> None:
    """Runs commands on this host for a Clarion server.

    Exit codes: 0 stopped as told, 2 wrong usage, 66 no state there, 69 could not join, 73 state directory unusable, 75
    in use by
    another agent, 77 not joined, or token or CA pin no good, 78 wrong settings, 70 anything else.
    """


@cli.command()
@click.option("--server", metavar="HOST:PORT", help="The server's agent port. [as named at the join]")
@click.option(
    "--insecure-loopback", is_flag=True, default=None, help="No TLS, to a server on this machine that is set so too."
)
@click.option("--token-file", metavar="FILE", help="With --insecure-loopback: the token shared by all agents.")
@click.option("--state", metavar="DIR", help="Where the agent keeps what must survive it. [/var/lib/clarion-agent]")
@click.option("--slots", metavar="N", help="Commands at once. [16]")
@click.option("--hostname", metavar="NAME", help="Told to the server instead of the kernel's name.")
@click.option(
    "--label", "labels", metavar="KEY=VALUE", multiple=True, help="Told to the server; may be given several times."
)
@click.option("--policy-file", metavar="FILE", help="What this host refuses, whatever the server says.")
@click.option("--log-level", metavar="LEVEL", help="debug, info, warning or error. [info]")
@click.option(
    "--config", type=click.Path(path_type=Path), metavar="FILE", help="TOML file with these settings and more."
)
def run(config: Path | None, labels: tuple[str, ...], **flags: object) -> None:
    """Connect to the server and run what it sends, until SIGTERM."""
    from agent import init

    init.become_child()  # before anything else is imported, so that an init of a container stays small
    from agent import app, log, settings

    try:
        chosen = settings.load(config, os.environ, {**flags, "labels": labels or None})
        log.configure(chosen.log_level)
        app.run(chosen)
    except AgentError as error:
        _fail(error)


@cli.command()
@click.option("--server", required=True, metavar="HOST[:PORT]", help="The server's enrolment port. [port 8442]")
@click.option("--token-file", required=True, metavar="FILE", help="Holds the join token; - for standard input.")
@click.option(
    "--ca-pin", required=True, metavar="sha256:…", help="Of the server's CA, as 'clarion-server ca show' prints it."
)
@click.option(
    "--state", type=click.Path(path_type=Path), default=Path("/var/lib/clarion-agent"), show_default=True, metavar="DIR"
)
@click.option("--hostname", metavar="NAME", help="Told to the server instead of the kernel's name.")
def join(server: str, token_file: str, ca_pin: str, state: Path, hostname: str | None) -> None:
    """Become a host of a server: make a key here, and get the certificate for it with a join token."""
    from agent import log
    from agent.enrolment import join_command

    log.configure("info")
    try:
        where = join_command.join(server, token_file, ca_pin, _absolute(state), hostname)
    except AgentError as error:
        _fail(error)
    click.echo(f"joined as {where.host_id}; start the agent with 'clarion-agent run --state {state}'")


@cli.command()
@click.option(
    "--state", type=click.Path(path_type=Path), default=Path("/var/lib/clarion-agent"), show_default=True, metavar="DIR"
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
def status(state: Path, as_json: bool) -> None:
    """Tell what the journal in a state directory holds."""
    import orjson

    from agent import status as page

    try:
        found = page.status(state)
    except AgentError as error:
        _fail(error)
    click.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode() if as_json else page.text(found))


def _absolute(path: Path) -> Path:
    """Raises AgentError: the working directory may be gone."""
    try:
        return path.absolute()
    except OSError as error:
        raise AgentError(
            f"--state {path}: the working directory is gone: {error.strerror}", "give an absolute path"
        ) from error


def _fail(error: AgentError) -> NoReturn:
    click.echo(f"clarion-agent: {error.message}\n  what to do: {error.hint}", err=True)
    sys.exit(error.exit_code)


def main() -> None:
    """Entry point of `clarion-agent`."""
    cli(prog_name="clarion-agent")


if __name__ == "__main__":
    main()
