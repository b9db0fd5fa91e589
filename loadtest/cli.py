"""Command line of `python -m loadtest`."""

from __future__ import annotations

import random
import signal
import sys
from pathlib import Path
from types import FrameType

import click

from loadtest.conduct import conduct
from loadtest.options import ON_REQUEST, SCENARIOS, CannotRun, ExistingServer, Options
from loadtest.reports.compare import compare
from loadtest.reports.progress import Console
from loadtest.site.fleet import FleetFailed
from loadtest.site.target import ServerDied

USAGE, UNAVAILABLE = 64, 69
"""Exit codes of sysexits.h."""
FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110, "show_default": True})
@click.option("--agents", type=click.IntRange(1, 1_000_000), default=200, help="Simulated agents.")
@click.option("--rounds", type=click.IntRange(0, 1_000), default=3, help="Rounds of echo on all of them.")
@click.option(
    "--store",
    type=click.Choice(["sqlite", "mysql"]),
    default="sqlite",
    help="Database of the started server. mysql also starts a MariaDB, unless --set store.… names one.",
)
@click.option(
    "--tls/--no-tls",
    default=False,
    help="Mutual TLS on the agent port; every agent joins first to get its certificate.",
)
@click.option("--pure", is_flag=True, help="Start the server without compiled modules (CLARION_PURE=1).")
@click.option(
    "--compare",
    "both",
    is_flag=True,
    help="Run everything twice, with and without compiled modules, and show both results.",
)
@click.option(
    "--report",
    type=FILE,
    default=Path("report.json"),
    help=(
        "Path of report.json; .html and .details.json are written next to it, with --compare also .pure.json and "
        ".compare.json."
    ),
)
@click.option(
    "--scenario",
    "scenarios",
    multiple=True,
    type=click.Choice((*SCENARIOS, *ON_REQUEST)),
    help="Run only this scenario, after connecting. May be repeated. Default: all except answers and viewers.",
)
@click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="KEY=VALUE",
    help="Setting of the started server. May be repeated.",
)
@click.option(
    "--server",
    metavar="URL",
    help="Use this server instead of starting one. Its real hosts are not used.",
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
    "--seed",
    type=click.IntRange(0, 2**31),
    help="Seed of all random decisions. Default: a new one each time; it is printed.",
)
@click.option("--samples", type=click.IntRange(0, 100_000), default=100, help="Latency samples on single hosts.")
@click.option(
    "--fair-samples",
    type=click.IntRange(0, 100_000),
    default=200,
    help="Latency samples during each kind of load of the scenario fairness.",
)
@click.option("--idle-seconds", type=click.FloatRange(0.1, 3600), default=20.0)
@click.option(
    "--fault-seconds", type=click.FloatRange(0.1, 3600), default=5.0, help="How long faulty hosts stay faulty."
)
@click.option("--fault-share", type=click.FloatRange(0.001, 0.9), default=0.1, help="Share of faulty hosts.")
@click.option("--mixed-tasks", type=click.IntRange(1, 10_000), default=24, help="Number of concurrent tasks.")
@click.option(
    "--viewers",
    type=click.IntRange(1, 10_000),
    default=50,
    help="Number of viewers of a task's page, for the scenario viewers.",
)
@click.option("--viewers-poll", is_flag=True, help="Viewers poll states and groups instead of subscribing to them.")
@click.option(
    "--viewer-pairs", type=click.IntRange(1, 100), default=5, help="Number of pairs of runs, without and with viewers."
)
@click.option(
    "--viewed-seconds",
    type=click.FloatRange(0.1, 3600),
    default=20.0,
    help="Seconds that the hosts of the watched task take to answer.",
)
@click.option(
    "--hello-timeout",
    type=click.FloatRange(0.1, 600),
    default=10.0,
    help="Seconds after which an agent without Welcome disconnects.",
)
@click.option(
    "--backoff-max",
    type=click.FloatRange(0.1, 600),
    default=20.0,
    help="Longest pause of an agent between two connection attempts.",
)
@click.option(
    "--dialing",
    type=click.IntRange(1, 100_000),
    default=1_024,
    help="Concurrent connections of one process between first byte and Welcome.",
)
@click.option(
    "--limit",
    type=click.FloatRange(1, 86_400),
    default=900.0,
    help="Maximum seconds for the whole run; then the results so far are reported.",
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

    Exits with 0 if every result arrived once and is correct, 1 if a result was lost, doubled or wrong, 2 if the run
    could not be finished.
    """
    names = ("token_file", "agent_address", "join_token_file", "server_pid")
    given = {name: rest.pop(name) for name in names}
    existing = _existing(server, tls, **given)
    if existing is not None and (sets or pure or rest["store"] != "sqlite"):
        raise click.UsageError(
            "--set, --store and --pure configure a started server; they cannot be combined with --server"
        )
    if both and (existing is not None or pure):
        raise click.UsageError("--compare starts servers of both kinds; it cannot be combined with --server or --pure")
    keep = rest["keep"]
    if isinstance(keep, Path) and keep.exists() and any(keep.iterdir()):
        raise click.UsageError(f"--keep: {keep} is not empty")
    options = Options(
        existing=existing,
        tls=tls,
        pure=pure,
        sets=sets,
        scenarios=scenarios or SCENARIOS,
        seed=random.SystemRandom().randrange(2**31) if seed is None else seed,
        **rest,  # type: ignore[arg-type]
    )
    context.exit(compare(options, Console()) if both else conduct(options, Console()).code)


def _existing(
    server: str | None,
    tls: bool,
    token_file: object,
    agent_address: object,
    join_token_file: object,
    server_pid: object,
) -> ExistingServer | None:
    if server is None:
        if token_file or agent_address or join_token_file or server_pid:
            raise click.UsageError("--token-file, --agent-address, --join-token-file and --server-pid need --server")
        return None
    if not (
        isinstance(token_file, Path) and isinstance(agent_address, str) and (tls or isinstance(join_token_file, Path))
    ):
        raise click.UsageError("--server needs --token-file, --agent-address and, without --tls, --join-token-file")
    host, _, port = agent_address.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65_536:
        raise click.UsageError(f"--agent-address: {agent_address!r} is not like 127.0.0.1:8441")
    return ExistingServer(
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
