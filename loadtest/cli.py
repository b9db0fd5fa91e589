"""`python -m loadtest`."""

from __future__ import annotations

import random
import signal
import sys
from pathlib import Path
from types import FrameType

import click

from loadtest.conduct import conduct
from loadtest.options import ASKED, SCENARIOS, CannotRun, Foreign, Options
from loadtest.reports.compare import compare
from loadtest.reports.progress import Show
from loadtest.site.fleet import FleetFailed
from loadtest.site.target import ServerDied

USAGE, UNAVAILABLE = 64, 69
"""sysexits.h"""
FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110, "show_default": True})
@click.option("--agents", type=click.IntRange(1, 1_000_000), default=200, help="Simulated agents.")
@click.option("--rounds", type=click.IntRange(0, 1_000), default=3, help="Rounds of echo on all of them.")
@click.option(
    "--store",
    type=click.Choice(["sqlite", "mysql"]),
    default="sqlite",
    help="Of the server that is started. mysql: a MariaDB is started too, unless --set store.… says where one is.",
)
@click.option(
    "--tls/--no-tls",
    default=False,
    help="Mutual TLS on the agent port; every agent joins first for a certificate of its own.",
)
@click.option("--pure", is_flag=True, help="The server that is started runs without compiled modules (CLARION_PURE=1).")
@click.option(
    "--compare",
    "both",
    is_flag=True,
    help="Run everything twice, with compiled modules and without, and show both side by side.",
)
@click.option(
    "--report",
    type=FILE,
    default=Path("report.json"),
    help=(
        "Where report.json goes; .html and .details.json are written beside it, with --compare .pure.json and "
        ".compare.json too."
    ),
)
@click.option(
    "--scenario",
    "scenarios",
    multiple=True,
    type=click.Choice((*SCENARIOS, *ASKED)),
    help="Only this one, after connecting. May be repeated. Default: all but answers and viewers.",
)
@click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting of the server that is started. May be repeated.",
)
@click.option(
    "--server",
    metavar="URL",
    help="Use this server instead of starting one. Its hosts that are not simulated are left alone.",
)
@click.option("--token-file", type=FILE, help="With --server: its admin token.")
@click.option("--agent-address", metavar="HOST:PORT", help="With --server: its agent port.")
@click.option(
    "--join-token-file",
    type=FILE,
    help="With --server and --no-tls: its join token. With --tls one is made through the API.",
)
@click.option(
    "--server-pid",
    type=click.IntRange(1),
    help="With --server: its process, if it is on this machine, for its CPU and memory.",
)
@click.option(
    "--processes",
    type=click.IntRange(1, 256),
    help="Processes for the simulated agents. Default: as few as the limit on open files allows.",
)
@click.option(
    "--seed", type=click.IntRange(0, 2**31), help="Of everything random. Default: another one each time; it is printed."
)
@click.option("--samples", type=click.IntRange(0, 100_000), default=100, help="Latency samples on single hosts.")
@click.option(
    "--fair-samples",
    type=click.IntRange(0, 100_000),
    default=200,
    help="Latency samples beside each kind of load of the scenario fairness.",
)
@click.option("--idle-seconds", type=click.FloatRange(0.1, 3600), default=20.0)
@click.option(
    "--fault-seconds", type=click.FloatRange(0.1, 3600), default=5.0, help="How long faulty hosts stay faulty."
)
@click.option("--fault-share", type=click.FloatRange(0.001, 0.9), default=0.1, help="Of the hosts.")
@click.option("--mixed-tasks", type=click.IntRange(1, 10_000), default=24, help="Tasks at once.")
@click.option(
    "--viewers",
    type=click.IntRange(1, 10_000),
    default=50,
    help="Who watch a task's page, for the scenario of that name.",
)
@click.option("--viewers-poll", is_flag=True, help="They poll states and groups instead of being told of them.")
@click.option(
    "--viewer-pairs", type=click.IntRange(1, 100), default=5, help="How often the task runs with nobody and with them."
)
@click.option(
    "--viewed-seconds",
    type=click.FloatRange(0.1, 3600),
    default=20.0,
    help="How long the hosts of the task that they watch take to answer.",
)
@click.option(
    "--hello-timeout",
    type=click.FloatRange(0.1, 600),
    default=10.0,
    help="Seconds after which an agent that is not welcomed hangs up.",
)
@click.option(
    "--backoff-max",
    type=click.FloatRange(0.1, 600),
    default=20.0,
    help="Longest pause of an agent between two tries to connect.",
)
@click.option(
    "--dialing",
    type=click.IntRange(1, 100_000),
    default=1_024,
    help="Connections of one process between their first byte and their welcome at once.",
)
@click.option(
    "--limit",
    type=click.FloatRange(1, 86_400),
    default=900.0,
    help="Seconds for the whole run; then what is known is reported.",
)
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep the server's data and all logs in this new folder.",
)
@click.pass_context
def cli(
    context: click.Context,
    /,
    tls: bool,
    pure: bool,
    both: bool,
    server: str | None,
    seed: int | None,
    scenarios: tuple[str, ...],
    sets: tuple[str, ...],
    **rest: object,
) -> None:
    """Simulate agents against a real server and check every result.

    Exits 0 when every result was there once and right, 1 when one was lost, doubled or wrong, 2 when the run could not
    be finished.
    """
    names = ("token_file", "agent_address", "join_token_file", "server_pid")
    given = {name: rest.pop(name) for name in names}
    foreign = _foreign(server, tls, **given)
    if foreign is not None and (sets or pure or rest["store"] != "sqlite"):
        raise click.UsageError(
            "--set, --store and --pure are for a server that is started; they do not go with --server"
        )
    if both and (foreign is not None or pure):
        raise click.UsageError("--compare starts servers of both kinds; it goes neither with --server nor with --pure")
    keep = rest["keep"]
    if isinstance(keep, Path) and keep.exists() and any(keep.iterdir()):
        raise click.UsageError(f"--keep: {keep} is not empty")
    options = Options(
        foreign=foreign,
        tls=tls,
        pure=pure,
        sets=sets,
        scenarios=scenarios or SCENARIOS,
        seed=random.SystemRandom().randrange(2**31) if seed is None else seed,
        **rest,  # type: ignore[arg-type]
    )
    context.exit(compare(options, Show()) if both else conduct(options, Show()).code)


def _foreign(
    server: str | None,
    tls: bool,
    token_file: object,
    agent_address: object,
    join_token_file: object,
    server_pid: object,
) -> Foreign | None:
    if server is None:
        if token_file or agent_address or join_token_file or server_pid:
            raise click.UsageError("--token-file, --agent-address, --join-token-file and --server-pid go with --server")
        return None
    if not (
        isinstance(token_file, Path) and isinstance(agent_address, str) and (tls or isinstance(join_token_file, Path))
    ):
        raise click.UsageError("--server needs --token-file, --agent-address and, without --tls, --join-token-file")
    host, _, port = agent_address.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65_536:
        raise click.UsageError(f"--agent-address: {agent_address!r} is not like 127.0.0.1:8441")
    return Foreign(
        server,
        token_file,
        host.strip("[]"),
        int(port),
        join_token_file if isinstance(join_token_file, Path) else None,
        server_pid if isinstance(server_pid, int) else None,
    )


def _terminated(number: int, frame: FrameType | None) -> None:
    # unwinds, so that server and agents are ended too
    sys.exit(128 + number)


def main() -> None:
    signal.signal(signal.SIGTERM, _terminated)
    try:
        sys.exit(cli.main(standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(USAGE)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except (CannotRun, ServerDied, FleetFailed, ValueError) as error:
        click.echo(f"loadtest: {error}", err=True)
        sys.exit(UNAVAILABLE)
