"""The agent's settings: defaults, then a TOML file, then CLARION_AGENT_* in the environment, then flags.

Every value is checked on its own. One error lists all faults, each with its field, its source and a remedy.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import msgspec

from agent.errors import BadSettings, TokenUnreadable
from agent.log import LEVELS
from proto.common import file_errors

MIB = 1 << 20
PREFIX = "CLARION_AGENT_"
CONFIG_VARIABLE = "CLARION_AGENT_CONFIG"
DEFAULT_CONFIG = Path("/etc/clarion/agent.toml")
"""Read if it exists and neither --config nor the variable names a file."""
SOCKET_BYTES = 107
"""Longest path of a Unix socket (sun_path of unix(7), with its NUL)."""
_TYPING_ERROR = 0.75
"""Similarity (difflib) from which an unknown variable is taken for a misspelt setting."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the agent. Times are seconds, sizes are bytes.

    Attributes:
        server: Agent port of the server; None for the one named when joining.
        insecure_loopback: Connect without TLS to a server on this machine, which needs the same setting.
        token_file: With insecure_loopback: file with the token that all agents share. It is read before each
            connection.
        state: Directory of identity, journal and spool.
        slots: Commands that may run at the same time.
        hostname: Host name sent to the server; empty for the one given when joining, or else the kernel's.
        policy_file: See agent/policy.py.
        shims_socket: Socket of the service that starts commands (`clarion-agent shims`); None to start them itself.
    """

    server: tuple[str, int] | None = None
    insecure_loopback: bool = False
    token_file: Path = Path("/etc/clarion/join.token")
    state: Path = Path("/var/lib/clarion-agent")
    slots: int = 16
    labels: dict[str, str] = {}
    hostname: str = ""
    policy_file: Path | None = None
    shims_socket: Path | None = None
    log_level: str = "info"
    connect_timeout: float = 10.0
    hello_timeout: float = 10.0
    backoff_base: float = 1.0
    backoff_max: float = 15.0
    spool_bytes: int = 256 * MIB
    journal_bytes: int = 16 * MIB
    reserve_bytes: int = 64 * MIB


def load(config: Path | None, environment: Mapping[str, str], flags: Mapping[str, object]) -> Settings:
    """Read and check the settings.

    Args:
        config: TOML file; None for the one that CLARION_AGENT_CONFIG names, else DEFAULT_CONFIG if it exists.
        environment: Environment variables. An unknown one is an error only if it resembles a setting: container
            platforms set others, such as CLARION_AGENT_PORT for a service of that name.
        flags: Values by field; None where the flag was not given.

    Raises:
        BadSettings: At least one value is wrong.
    """
    values: dict[str, object] = {}
    faults: list[str] = []
    sources: list[tuple[str, Mapping[str, object]]] = []
    file = config_file(config, environment)
    if file is not None:
        sources.append((str(file), _toml(file)))
    sources.append(("environment", _variables(environment)))
    sources.append(("flag", {name: value for name, value in flags.items() if value is not None}))
    for source, given in sources:
        for name, raw in given.items():
            check = CHECKS.get(name)
            if check is None:
                faults.append(_unknown(source, name))
                continue
            try:
                values[name] = check(raw)
            except ValueError as error:
                shown = f"{PREFIX}{name.upper()}" if source == "environment" else name
                faults.append(f"{shown} ({source}): {error}")
    if not faults:
        settings = msgspec.convert(values, Settings, strict=False, dec_hook=_path)
        if settings.backoff_base > settings.backoff_max:
            faults.append(f"backoff_base: {settings.backoff_base:g} is above backoff_max, {settings.backoff_max:g}")
        if settings.insecure_loopback and settings.server is not None and not loopback(settings.server[0]):
            faults.append(
                f"insecure_loopback: the server must be on this machine, because there is no TLS, not "
                f"{settings.server[0]}"
            )
        if not faults:
            return settings
    raise BadSettings(
        "; ".join(faults),
        "'clarion-agent run --help' lists the flags; each is also a key of the TOML file and CLARION_AGENT_<KEY>",
    )


def config_file(given: Path | None, environment: Mapping[str, str]) -> Path | None:
    """Return the configuration file to read, or None."""
    if given is not None:
        return given
    if environment.get(CONFIG_VARIABLE):
        return Path(environment[CONFIG_VARIABLE])
    return DEFAULT_CONFIG if os.path.lexists(DEFAULT_CONFIG) else None


def ignored_variables(environment: Mapping[str, str]) -> list[str]:
    """Return the variables that begin like a setting but are none, and that `load` therefore ignores."""
    return sorted(
        name for name in environment if name.startswith(PREFIX) and name != CONFIG_VARIABLE and not _is_setting(name)
    )


def _variables(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(PREFIX) and _is_setting(name)
    }


def _is_setting(variable: str) -> bool:
    """Return True for the variable of a setting, also if it is misspelt."""
    name = variable.removeprefix(PREFIX).lower()
    return variable != CONFIG_VARIABLE and bool(difflib.get_close_matches(name, CHECKS, n=1, cutoff=_TYPING_ERROR))


def read_token(path: Path) -> str:
    """Return the one line in the token file.

    Raises:
        TokenUnreadable: The file cannot be read or holds no token.
    """
    hint = "put the join token into it, readable for this user only"
    try:
        token = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise TokenUnreadable(f"token_file {path}: {getattr(error, 'strerror', None) or error}", hint) from error
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise TokenUnreadable(f"token_file {path}: holds no token", hint)
    return token


def address(text: object) -> tuple[str, int]:
    """Parse HOST:PORT or [IPv6]:PORT.

    Raises:
        ValueError: The text has another form.
    """
    host, colon, port = str(text).rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not host or (":" in host and not bracketed):
        raise ValueError(f"must be HOST:PORT (an IPv6 address in brackets), not {str(text)!r}")
    if not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise ValueError(f"the port must be a number from 1 to 65535, not {port!r}")
    return host[1:-1] if bracketed else host, int(port)


def loopback(host: str) -> bool:
    """Return True for `localhost` or a loopback address (RFC 1122 3.2.1.3, RFC 4291 2.5.3)."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _flag(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    if str(raw).lower() not in ("true", "false"):
        raise ValueError(f"must be true or false, not {raw!r}")
    return str(raw).lower() == "true"


def _labels(raw: object) -> dict[str, str]:
    """Parse labels: at most 64, each name and value at most 256 bytes."""
    pairs = raw
    if isinstance(raw, str):
        pairs = [part for part in raw.split(",") if part]
    if isinstance(pairs, (list, tuple)):
        missing = [part for part in pairs if "=" not in str(part)]
        if missing:
            raise ValueError(f"each must be KEY=VALUE, not {missing[0]!r}")
        pairs = dict(str(part).split("=", 1) for part in pairs)
    if not isinstance(pairs, Mapping) or not all(isinstance(v, (str, int, float, bool)) for v in pairs.values()):
        raise ValueError("must be a table of names and texts")
    labels = {str(key).strip(): str(value) for key, value in pairs.items()}
    if len(labels) > 64:
        raise ValueError(f"at most 64 are allowed, not {len(labels)}")
    for key, value in labels.items():
        if not key or len(key.encode()) > 256 or len(value.encode()) > 256 or not (key + value).isprintable():
            raise ValueError(f"{key[:40]!r}: name and value must be printable and at most 256 bytes long")
    return labels


def _whole(low: int, high: int) -> Callable[[object], int]:
    def check(raw: object) -> int:
        if isinstance(raw, (bool, float)) or not isinstance(raw, (int, str)):
            raise ValueError(f"must be a whole number, not {raw!r}")
        try:
            value = int(raw)
        except ValueError:
            raise ValueError(f"must be a whole number, not {raw!r}") from None
        if not low <= value <= high:
            raise ValueError(f"must lie between {low} and {high}, not {value}")
        return value

    return check


def _seconds(low: float, high: float) -> Callable[[object], float]:
    def check(raw: object) -> float:
        try:
            value = float(str(raw))
        except ValueError:
            raise ValueError(f"must be a number of seconds, not {raw!r}") from None
        if isinstance(raw, bool) or not low <= value <= high:
            raise ValueError(f"must lie between {low:g} and {high:g} seconds, not {raw}")
        return value

    return check


def _file(raw: object) -> Path:
    if not isinstance(raw, (str, Path)) or not str(raw):
        raise ValueError(f"must be a path, not {raw!r}")
    try:
        path = Path(os.path.abspath(Path(raw).expanduser()))
        str(path).encode()
    except UnicodeEncodeError:
        raise ValueError(f"must be a path in UTF-8, not {raw!r}") from None
    except (OSError, RuntimeError) as error:  # no working directory, no such user
        raise ValueError(f"must be an absolute path here, as {raw!r} cannot be resolved: {error}") from error
    return path


def _socket(raw: object) -> Path:
    path = _file(raw)
    if len(os.fsencode(path)) > SOCKET_BYTES:
        raise ValueError(f"must be a path of at most {SOCKET_BYTES} bytes, as the kernel allows for sockets")
    return path


def host_name(raw: object) -> str:
    """Check a host name: at most 255 characters (RFC 1035 2.3.4), printable, without spaces.

    Raises:
        ValueError: It has another form.
    """
    if not isinstance(raw, str) or not 1 <= len(raw) <= 255 or not raw.isprintable() or " " in raw:
        raise ValueError(f"must be a name of 1 to 255 characters without spaces, not {raw!r}")
    return raw


def _level(raw: object) -> str:
    if raw not in LEVELS:
        raise ValueError(f"must be one of {', '.join(LEVELS)}, not {raw!r}")
    return str(raw)


CHECKS: dict[str, Callable[[object], Any]] = {
    "server": address,
    "insecure_loopback": _flag,
    "token_file": _file,
    "state": _file,
    "slots": _whole(1, 1_024),
    "labels": _labels,
    "hostname": host_name,
    "policy_file": _file,
    "shims_socket": _socket,
    "log_level": _level,
    "connect_timeout": _seconds(0.1, 600),
    "hello_timeout": _seconds(0.1, 600),
    "backoff_base": _seconds(0.01, 600),
    "backoff_max": _seconds(0.01, 3_600),
    "spool_bytes": _whole(2 * MIB, 1 << 44),
    "journal_bytes": _whole(64 * 1024, 1 << 32),
    "reserve_bytes": _whole(0, 1 << 36),
}


def _toml(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings(
            f"config {path}: {getattr(error, 'strerror', None) or 'is not UTF-8'}",
            file_errors.remedy(error) if isinstance(error, OSError) else "write it in UTF-8",
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise BadSettings(f"config {path}: {error}", "write it as TOML: key = value, texts in quotes") from error


def _unknown(source: str, name: str) -> str:
    near = difflib.get_close_matches(name, CHECKS, n=1)
    advice = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(CHECKS))}"
    shown = f"{PREFIX}{name.upper()}" if source == "environment" else name
    return f"{shown} ({source}): there is no such setting; {advice}"


def _path(kind: type, value: object) -> object:
    return Path(str(value)) if issubclass(kind, Path) else value
