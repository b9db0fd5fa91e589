"""Command line of the agent: `clarion-agent join`, `run`, `status` and `doctor`."""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import NoReturn

import click

from agent import __version__
from agent.errors import AgentError


class _Commands(click.Group):
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show the whole first sentence of each command's help; click would shorten it."""
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
    """Run commands on this host for a Clarion server.

    Exit codes: 0 stopped by a signal, 1 the doctor found an error, 2 wrong usage, 66 no state found, 69 could not join
    or use the shims service, 71 kernel or sandbox unsuitable, 73 state directory unusable, 75 state directory in use by
    another agent, 77 not joined, or wrong token or CA pin, 78 wrong settings, 70 other errors.
    """


@cli.command()
@click.option("--server", metavar="HOST:PORT", help="Agent port of the server. [the port named when joining]")
@click.option(
    "--insecure-loopback",
    is_flag=True,
    default=None,
    help="Connect without TLS to a server on this machine; the server needs the same setting.",
)
@click.option(
    "--token-file", metavar="FILE", help="With --insecure-loopback: file with the token that all agents share."
)
@click.option("--state", metavar="DIR", help="State directory. [/var/lib/clarion-agent]")
@click.option("--slots", metavar="N", help="Number of commands that may run at the same time. [16]")
@click.option(
    "--hostname", metavar="NAME", help="Host name sent to the server. [the one given when joining, else the kernel's]"
)
@click.option(
    "--label", "labels", metavar="KEY=VALUE", multiple=True, help="Label sent to the server; may be given repeatedly."
)
@click.option("--policy-file", metavar="FILE", help="TOML file with rules about commands that this host refuses.")
@click.option("--log-level", metavar="LEVEL", help="debug, info, warning or error. [info]")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="TOML file with these and further settings. [$CLARION_AGENT_CONFIG, else /etc/clarion/agent.toml, if any]",
)
def run(config: Path | None, labels: tuple[str, ...], **flags: object) -> None:
    """Connect to the server and run its commands until SIGTERM. SIGHUP reloads settings and connects again."""
    from agent import init

    init.become_child()  # before other imports, so that the init process of a container stays small
    from agent import app, log, settings

    try:
        # SIGHUP asks for a reload: until the agent can handle it, it must not end the process
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        load = partial(settings.load, config, dict(os.environ), {**flags, "labels": labels or None})
        chosen = load()
        log.configure(chosen.log_level)
        for name in settings.ignored_variables(os.environ):
            log.Log().warning("unknown_variable_ignored", name=name)
        app.run(chosen, load=load)
    except AgentError as error:
        _fail(error)


@cli.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="TOML file of the agent's settings. [$CLARION_AGENT_CONFIG, else /etc/clarion/agent.toml, if any]",
)
def shims(config: Path | None) -> None:
    """Start commands for the agent, as a service of its own that outlives it.

    The unit clarion-shims.socket starts it and passes the socket. 'clarion-agent run' with the setting shims_socket
    then starts no command itself. SIGHUP reads the policy file again. A restart ends no command.
    """
    from agent import log, settings
    from agent.service import shims as service

    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the service can handle it
        load = partial(settings.load, config, dict(os.environ), {})
        log.configure(load().log_level)
        service.run(load, os.environ)
    except AgentError as error:
        _fail(error)


@cli.command()
@click.option("--server", required=True, metavar="HOST[:PORT]", help="Enrolment port of the server. [port 8442]")
@click.option(
    "--token-file", required=True, metavar="FILE", help="File with the join token; - reads it from standard input."
)
@click.option(
    "--ca-pin", required=True, metavar="sha256:…", help="Pin of the server's CA, as 'clarion-server ca show' prints it."
)
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="State directory. [as 'clarion-agent run' has it, by default /var/lib/clarion-agent]",
)
@click.option(
    "--hostname",
    metavar="NAME",
    help="Host name sent to the server instead of the kernel's name, now and by 'clarion-agent run'.",
)
def join(server: str, token_file: str, ca_pin: str, state: Path | None, hostname: str | None) -> None:
    """Join a server: create a key on this host and use a join token to get a certificate for it."""
    from agent import log
    from agent.enrolment import join_command

    log.configure("info")
    try:
        where = join_command.join(server, token_file, ca_pin, _state(state), hostname)
    except AgentError as error:
        _fail(error)
    flag = "" if state is None else f" --state {state}"
    click.echo(f"joined as {where.host_id}; start the agent with 'clarion-agent run{flag}'")


@cli.command()
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="State directory. [as 'clarion-agent run' has it, by default /var/lib/clarion-agent]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def status(state: Path | None, as_json: bool) -> None:
    """Show whether the agent runs and is connected, to which server, since when, and what its journal holds.

    It also shows the end of the certificate, the policy in force and the version. It only reads, so it may be used
    while the agent runs.
    """
    import orjson

    from agent.status import report as page

    try:
        found = page.status(_state(state))
    except AgentError as error:
        _fail(error)
    click.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode() if as_json else page.text(found))


@cli.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="TOML file with the settings. [$CLARION_AGENT_CONFIG, else /etc/clarion/agent.toml, if any]",
)
@click.option("--state", metavar="DIR", help="State directory. [/var/lib/clarion-agent]")
@click.option("--server", metavar="HOST:PORT", help="Agent port of the server. [the port named when joining]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def doctor(config: Path | None, as_json: bool, **flags: object) -> None:
    """Check what the agent needs: kernel, control groups, unit, limits, disk, certificate and the way to the server.

    It changes nothing. Run it as the agent's user with the agent's settings. The exit code is 1 if a check found an
    error; warnings do not change it.
    """
    import orjson

    from agent import settings
    from agent.doctor.doctor import examine
    from proto.common import checkup

    try:
        found = examine(settings.load(config, os.environ, {**flags, "labels": None}))
    except AgentError as error:
        _fail(error)
    if as_json:
        click.echo(orjson.dumps(checkup.document(found), option=orjson.OPT_INDENT_2).decode())
    else:
        click.echo("\n".join(checkup.lines(found)))
    sys.exit(checkup.exit_code(found))


def _state(given: Path | None) -> Path:
    """Return the state directory: the given one, or the one that `run` uses.

    Raises:
        AgentError: The settings are wrong, or the working directory no longer exists.
    """
    if given is not None:
        return _absolute(given)
    from agent import settings

    return settings.load(None, os.environ, {}).state


def _absolute(path: Path) -> Path:
    """Return the absolute path.

    Raises:
        AgentError: The working directory no longer exists.
    """
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
    """Run `clarion-agent`."""
    cli(prog_name="clarion-agent")


if __name__ == "__main__":
    main()
