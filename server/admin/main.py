"""The `clarion-server` command."""

from __future__ import annotations

import errno
import importlib.metadata
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn

import click
import orjson

from server.errors import NO_PERMISSION, SOFTWARE, UNAVAILABLE, USAGE, ClarionError
from server.security import ca_files
from server.security.init import InitFailed, Initialised, ensure_token, initialise, read_token
from server.security.lock import InUse, locked
from server.security.tokens import Kind
from server.settings.faults import SettingsError
from server.settings.load import Flag, load
from server.settings.password_file import read_password
from server.settings.rules import value_of
from server.settings.schema import Loaded, Settings
from server.settings.table import plain, rows

CONFIG, CANNOT_CREATE = 78, 73
"""sysexits.h: EX_CONFIG, EX_CANTCREAT."""


class _Command(click.Group):
    """Wrong usage exits 64, as everywhere in Clarion."""

    def main(self, *args: Any, **extra: Any) -> Any:
        try:
            result = super().main(*args, **{**extra, "standalone_mode": False})
        except click.ClickException as error:
            error.show()
            sys.exit(USAGE)
        except click.Abort:
            sys.exit(130)
        sys.exit(result if isinstance(result, int) else 0)

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


def _give_up(code: int, message: str, hint: str = "") -> NoReturn:
    click.echo(f"clarion-server: {message}{f'; {hint}' if hint else ''}", err=True)
    sys.exit(code)


def _settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    @click.option(
        "--config",
        type=click.Path(path_type=Path),
        help="TOML file. Default: $CLARION_CONFIG, else server.toml in the data directory.",
    )
    @click.option("--data", metavar="DIR", help="The data directory; the same as --set data=DIR.")
    @click.option("--http-port", metavar="PORT", help="The same as --set http.port=PORT.")
    @click.option("--agent-port", metavar="PORT", help="The same as --set agent_port.port=PORT.")
    @click.option("--enrol-port", metavar="PORT", help="The same as --set enrol.port=PORT.")
    @click.option(
        "--set",
        "sets",
        multiple=True,
        metavar="KEY=VALUE",
        help="One setting, for example writer.linger_ms=2. May be repeated.",
    )
    @wraps(command)
    def wrapped(
        config: Path | None,
        data: str | None,
        http_port: str | None,
        agent_port: str | None,
        enrol_port: str | None,
        sets: tuple[str, ...],
        **others: Any,
    ) -> Any:
        named = (
            *(("--data", "data", data), ("--http-port", "http.port", http_port)),
            *(("--agent-port", "agent_port.port", agent_port), ("--enrol-port", "enrol.port", enrol_port)),
        )
        flags = [Flag(name, key, text) for name, key, text in named if text is not None]
        try:
            loaded = load(config, flags=flags, sets=sets)
        except SettingsError as error:
            _refuse_settings(error)
        for text in loaded.warnings:
            click.echo(f"clarion-server: warning: {text}", err=True)
        return command(loaded, **others)

    return wrapped


def _refuse_settings(error: SettingsError) -> NoReturn:
    for fault in error.faults:
        click.echo(f"clarion-server: {fault}", err=True)
    sys.exit(CONFIG)


@click.group(cls=_Command, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="clarion", prog_name="clarion-server", message="%(prog)s %(version)s")
def cli() -> None:
    """The Clarion server: takes tasks over REST and pushes them to agents over gRPC."""


@cli.command()
@click.option(
    "--accept-database",
    is_flag=True,
    help=(
        "Use the database that the settings name from now on, or a new one if there is none, although this data "
        "directory has had another."
    ),
)
@_settings_options
def init(loaded: Loaded, accept_database: bool) -> None:
    """Make the data directory, the admin token and the CA. Never overwrites anything."""
    done = _initialise(loaded.settings)
    for path in done.made:
        click.echo(f"made {path}")
    for path in done.found:
        click.echo(f"already there: {path}")
    if done.admin_token in done.made:
        click.echo(f"The admin token is in {done.admin_token}. Only this user can read it.")
    if done.ca_pin is not None:
        click.echo(f"CA pin: {done.ca_pin}")
    if accept_database:
        from server.admin import offline

        try:
            click.echo(f"this data directory uses the database {offline.accept_database(loaded.settings)} from now on")
        except BaseException as error:
            known = _known_causes(error)
            if known is None:
                raise
            _give_up(*_explain(known[0], loaded.settings))


def _initialise(settings: Settings) -> Initialised:
    try:
        return initialise(settings.data, time.time_ns() // 1_000_000, insecure=settings.agent_port.insecure_loopback)
    except InitFailed as error:
        _give_up(CANNOT_CREATE, str(error), error.hint)


@cli.command()
@click.option("--init", "with_init", is_flag=True, help="Do what 'clarion-server init' does first.")
@_settings_options
def run(loaded: Loaded, with_init: bool) -> int:
    """Run the server in the foreground until SIGTERM or SIGINT."""
    settings = loaded.settings
    if with_init:
        for path in _initialise(settings).made:
            click.echo(f"made {path}", err=True)
    try:
        read_token(settings.admin_token, Kind.API)
        ensure_token(settings.metrics_token, Kind.API)
        if settings.agent_port.insecure_loopback:
            read_token(settings.join_token, Kind.JOIN)
        else:
            ca_files.load_issuing(ca_files.CaFiles(settings.data))
        read_password(settings.store)
    except InitFailed as error:
        _give_up(CANNOT_CREATE, str(error), error.hint)
    except SettingsError as error:
        _refuse_settings(error)
    return _serve(settings)


def _serve(settings: Settings) -> int:
    from server import app
    from server.ops import logs

    logs.configure(settings.log.level)
    try:
        with locked(settings.data) as place:
            return int(app.run(settings, place))
    except BaseException as error:
        known = _known_causes(error)
        if known is None:
            _raise_unless_failure(error)
            logs.logger("server.admin.main").error("the server failed in a way it did not foresee", exc_info=error)
            _give_up(
                SOFTWARE, f"internal error: {type(error).__name__}", "the log line before this one holds the details"
            )
        for one in known[:-1]:
            click.echo(f"clarion-server: {_explain(one, settings)[1]}", err=True)
        code, message, hint = _explain(known[-1], settings)
        _give_up(code, message, hint)


def _raise_unless_failure(error: BaseException) -> None:
    """Ctrl-C and SystemExit are nobody's failure."""
    if not isinstance(error, Exception):
        raise error


def _known_causes(error: BaseException) -> list[Exception] | None:
    """The leaves of an exception group, if each of them is something that an operator can mend; otherwise None."""
    leaves = list(_leaves(error))
    known: list[Exception] = [
        leaf for leaf in leaves if isinstance(leaf, ClarionError | OSError | SettingsError | InitFailed | InUse)
    ]
    return known if leaves and len(known) == len(leaves) else None


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _explain(error: Exception, settings: Settings) -> tuple[int, str, str]:
    """(exit code, what happened, what to do)."""
    if isinstance(error, ClarionError):
        where = f" ({error.field})" if error.field else ""
        return error.problem.exit, f"{error.message}{where}", error.hint
    if isinstance(error, SettingsError):
        return CONFIG, str(error), ""
    if isinstance(error, InitFailed):
        return CANNOT_CREATE, str(error), error.hint
    if isinstance(error, InUse):
        return UNAVAILABLE, str(error), "stop it, or name another directory with --data"
    if isinstance(error, OSError):
        return _explain_os(error, settings)
    raise error


def _explain_os(error: OSError, settings: Settings) -> tuple[int, str, str]:
    if error.errno == errno.EADDRINUSE:
        taken = list(_taken(settings)) or ["http.port, agent_port.port or enrol.port"]
        return (
            UNAVAILABLE,
            f"port in use: {' and '.join(taken)}",
            "stop what listens there, or choose others with --http-port, --agent-port and --enrol-port",
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return CONFIG, "http.host, agent_port.host or enrol.host is not an address of this machine", "use 127.0.0.1"
    if error.errno in (errno.EACCES, errno.EPERM) and error.filename is None:
        return (
            NO_PERMISSION,
            "this user may not listen on http.port, agent_port.port or enrol.port",
            "choose ports from 1024 on",
        )
    if (
        error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.ENOENT, errno.EDQUOT)
        and error.filename is not None
    ):
        return (
            CANNOT_CREATE,
            f"{error.filename}: {error.strerror}",
            "look at the owner, the mode and the free space of the data directory",
        )
    return SOFTWARE, f"the operating system refused: {error}", ""


def _taken(settings: Settings) -> Iterator[str]:
    """Which of our ports somebody listens on: the error of a failed bind does not name it."""
    http, agents, enrol = settings.http, settings.agent_port, settings.enrol
    ports = [("http.port", http.host, http.port), ("agent_port.port", agents.host, agents.port)]
    if not agents.insecure_loopback:
        ports.append(("enrol.port", enrol.host, enrol.port))
    for key, host, port in ports:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                yield f"{key} = {port} on {host}"


@cli.group()
def config() -> None:
    """Look at the settings without starting anything."""


@config.command()
@_settings_options
def check(loaded: Loaded) -> None:
    """Report everything that is wrong with the settings; exit 78 if anything is."""
    try:
        read_password(loaded.settings.store)
    except SettingsError as error:
        _refuse_settings(error)
    click.echo("the settings are valid")


@config.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object: key → {value, source}.")
@_settings_options
def show(loaded: Loaded, as_json: bool) -> None:
    """Print every setting, its value and where the value came from."""
    values = {key: value_of(loaded.settings, key) for key in rows()}
    if as_json:
        document = {
            key: {"value": str(value) if isinstance(value, Path) else value, "source": loaded.sources[key]}
            for key, value in values.items()
        }
        click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())
        return
    width = max(map(len, values))
    shown = {key: "-" if value is None else plain(value) for key, value in values.items()}
    column = max(map(len, shown.values()))
    for key, text in shown.items():
        click.echo(f"{key:<{width}}  {text:<{column}}  {loaded.sources[key]}")


@cli.command()
@_settings_options
def restore(loaded: Loaded) -> None:
    """After a backup of the database was put back, and before the server starts: give up every open execution.

    What has happened since the backup is not known, so each ends as `lost`, reason `restored`, and none can start a
    second time.
    """
    from server.admin import offline

    try:
        number = offline.restore(loaded.settings)
    except BaseException as error:
        known = _known_causes(error)
        if known is None:
            raise
        _give_up(*_explain(known[0], loaded.settings))
    click.echo(f"{number} open executions are given up as lost")


@cli.group("join-token")
def join_token() -> None:
    """Tokens with which hosts join, without the API: for the first one, and for a server that does not run."""


@join_token.command("create")
@click.option(
    "--ttl",
    default="30m",
    show_default=True,
    metavar="TIME",
    help="How long it is good: seconds, or a number with s, m, h or d.",
)
@click.option(
    "--uses",
    default=1,
    show_default=True,
    type=click.IntRange(1, 100_000),
    metavar="N",
    help="How many hosts may join with it.",
)
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="KEY=VALUE",
    help="A label for every host that joins with it. May be repeated.",
)
@click.option(
    "--network",
    "networks",
    multiple=True,
    metavar="CIDR",
    help="Hosts may join only from these addresses, e.g. 10.1.0.0/16. May be repeated.",
)
@click.option("--approve", is_flag=True, help="Each join waits for 'clarion join approve'.")
@_settings_options
def create_join_token(
    loaded: Loaded, ttl: str, uses: int, labels: tuple[str, ...], networks: tuple[str, ...], approve: bool
) -> None:
    """Make a join token and print it on standard output; it is shown this once."""
    from server.admin import offline

    try:
        seconds, named, blocks = offline.duration(ttl), offline.label_pairs(labels), offline.blocks(networks)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    try:
        text = offline.create_join_token(loaded.settings, seconds, uses, named, blocks, approve)
    except BaseException as error:
        known = _known_causes(error)
        if known is None:
            raise
        code, message, hint = _explain(known[0], loaded.settings)
        _give_up(code, message, hint)
    click.echo(text)


@cli.group("ca")
def authority() -> None:
    """The CA in the data directory."""


@authority.command("show")
@_settings_options
def show_ca(loaded: Loaded) -> None:
    """Print the pin, and how long the CA's certificates are good."""
    files = ca_files.CaFiles(loaded.settings.data)
    try:
        shown = [("pin", ca_files.pin(files))]
        for name, certificate in (
            ("root", ca_files.load_root(files)),
            ("issuing", ca_files.load_issuing(files).certificate),
        ):
            shown.append(
                (name, f"{certificate.subject.rfc4514_string()}, good until {certificate.not_valid_after_utc:%Y-%m-%d}")
            )
    except InitFailed as error:
        _give_up(CANNOT_CREATE, str(error), error.hint)
    shown.append(
        ("root key", f"in {files.root_key}; it may be kept offline" if files.root_key.exists() else "not here")
    )
    for name, text in shown:
        click.echo(f"{name:<8}  {text}")


@authority.command("renew")
@_settings_options
def renew_ca(loaded: Loaded) -> None:
    """Make a new issuing CA with the root's key. Certificates of the one before stay good; a running server takes it
    over."""
    try:
        ca_files.make_issuing(ca_files.CaFiles(loaded.settings.data), time.time_ns() // 1_000_000, os.urandom)
    except (InitFailed, OSError) as error:
        code, message, hint = _explain(error, loaded.settings)
        _give_up(code, message, hint)
    click.echo("made a new issuing CA")


@cli.command()
def version() -> None:
    """Print the version."""
    try:
        click.echo(importlib.metadata.version("clarion"))
    except importlib.metadata.PackageNotFoundError:
        _give_up(
            SOFTWARE, "this copy of Clarion is not installed, so its version is unknown", "install it with 'make build'"
        )


def main() -> NoReturn:
    cli.main(prog_name="clarion-server")
    raise AssertionError("click returned")


if __name__ == "__main__":
    main()
