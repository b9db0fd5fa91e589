"""Loads settings from defaults, file, environment and flags; later sources override earlier ones.

Every value is checked, and all errors are reported together.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec

from server.settings.faults import Fault, SettingsError
from server.settings.renamed import current_names, variable, warning
from server.settings.rules import broken, value_of
from server.settings.schema import FROM_FILE, Loaded, Settings
from server.settings.table import Row, plain, rows, sections

FILE_LIMIT = 1 << 20
"""Maximum bytes of a configuration file."""
SHOWN_LIMIT = 80
"""Maximum characters of a value in an error message."""
_DIGITS = re.compile(r"-?(?:0|[1-9][0-9]*)")
"""A whole number as an operator writes it. msgspec also accepts `1e3`."""
CONFIG_VARIABLE = "CLARION_CONFIG"


class Flag(NamedTuple):
    """One setting from the command line.

    Attributes:
        name: The flag as the user typed it.
        key: The dotted key.
        text: The value.
    """

    name: str
    key: str
    text: str


class _Given(NamedTuple):
    """A value as one source gives it. Values from the environment and from flags are text; TOML values have a type."""

    value: Any
    source: str
    is_text: bool


def load(
    config: Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    flags: Iterable[Flag] = (),
    sets: Iterable[str] = (),
) -> Loaded:
    """Load and check the settings.

    Args:
        config: A TOML file that must exist. Default: the file that CLARION_CONFIG names, else server.toml in the data
            directory if it exists.
        environ: The environment; default: that of the process.
        flags: Named flags. Of two flags for one key the later one wins; they override `sets`.
        sets: Values of --set, as `section.key=value`.

    Raises:
        SettingsError: Holds every error found.
    """
    env = os.environ if environ is None else environ
    faults: list[Fault] = []
    warnings: list[str] = []
    typed = [*_parse_sets(sets, faults), *flags]
    outer = {
        **_environment(env, faults, warnings),
        **{flag.key: _Given(flag.text, f"flag {flag.name}", True) for flag in _known(typed, faults, warnings)},
    }
    file = _file(config, env, outer.get("data"))
    given = {**(_read(file, faults, warnings) if file else {}), **outer}
    values = {key: _convert(rows()[key], one, faults) for key, one in given.items()}
    if faults:
        raise SettingsError(faults)
    settings = _build(values)
    sources = {key: given[key].source if key in given else "default" for key in rows()}
    for key, message in broken(settings, given.__contains__):
        value = value_of(settings, key)
        faults.append(
            Fault(key=key, source=sources[key], message=message, shown=None if value is None else plain(value))
        )
    if faults:
        raise SettingsError(faults)
    return Loaded(settings=settings, sources=sources, warnings=tuple(warnings))


def _file(config: Path | None, env: Mapping[str, str], data: _Given | None) -> Path | None:
    if config is not None:
        return config
    if env.get(CONFIG_VARIABLE):
        return Path(env[CONFIG_VARIABLE])
    in_data = Path(data.value if data else cast(Path, rows()["data"].default)) / "server.toml"
    return in_data if os.path.lexists(in_data) else None


def _read(file: Path, faults: list[Fault], warnings: list[str]) -> dict[str, _Given]:
    source = f"{FROM_FILE}{file}"
    try:
        with file.open("rb") as handle:
            raw = handle.read(FILE_LIMIT + 1)
        if len(raw) > FILE_LIMIT:
            raise ValueError(f"the file is larger than {FILE_LIMIT} bytes")
        tree = tomllib.loads(raw.decode())
    except OSError as error:
        faults.append(
            Fault(
                key="--config",
                source=source,
                message=f"cannot be read: {error.strerror}; name a file that exists and is readable",
            )
        )
        return {}
    except (ValueError, RecursionError) as error:
        faults.append(Fault(key="--config", source=source, message=f"is not TOML: {str(error) or 'nested too deeply'}"))
        return {}
    given: dict[str, _Given] = {}
    for name, value in tree.items():
        if name in sections():
            if not isinstance(value, dict):
                faults.append(
                    Fault(
                        key=name,
                        source=source,
                        message=f"is a section, not a value; write [{name}] on its own line and the keys below it",
                    )
                )
                continue
            leaves = {f"{name}.{inner}": leaf for inner, leaf in value.items()}
        else:
            leaves = {name: value}
        for key, leaf in leaves.items():
            new = _current(key, source, warnings)
            if new in given or (new != key and new in leaves):
                faults.append(
                    Fault(
                        key=key,
                        source=source,
                        message=f"is the old name of {new}, which is set too; keep one of them",
                    )
                )
            elif new in rows():
                given[new] = _Given(leaf, source, False)
            else:
                faults.append(_unknown(key, source, rows(), sections()))
    return given


def _environment(env: Mapping[str, str], faults: list[Fault], warnings: list[str]) -> dict[str, _Given]:
    """Read the settings in the environment.

    Variables of other programs begin with CLARION_ too: the agent's, the CLI's, CLARION_PORT of Kubernetes. An unknown
    name is therefore an error only if it begins with a section's name or is close to a known name.
    """
    known = {row.variable.removeprefix("CLARION_"): row for row in rows().values()}
    old_names = {variable(old).removeprefix("CLARION_"): (old, new) for old, new in current_names().items()}
    prefixes = tuple(f"{section.upper()}_" for section in sections())
    given: dict[str, _Given] = {}
    for variable_name, text in sorted(env.items()):
        if not variable_name.startswith("CLARION_"):
            continue
        name = variable_name.removeprefix("CLARION_")
        if name in known:
            given[known[name].key] = _Given(text, f"environment {variable_name}", True)
        elif name in old_names:
            new = rows()[old_names[name][1]]
            if new.variable in env:
                faults.append(
                    Fault(
                        key=variable_name,
                        source="environment",
                        message=f"is the old name of {new.variable}, which is set too; keep one of them",
                    )
                )
                continue
            warnings.append(warning(variable_name, new.variable, "environment"))
            given[new.key] = _Given(text, f"environment {variable_name}", True)
        elif name.startswith(prefixes) or get_close_matches(
            name, known, n=1, cutoff=0.85 if name.startswith("AGENT_") else 0.75
        ):
            faults.append(_unknown(variable_name, "environment", {row.variable: row for row in rows().values()}, ()))
    return given


def _parse_sets(sets: Iterable[str], faults: list[Fault]) -> list[Flag]:
    parsed = []
    for text in sets:
        key, equals, value = text.partition("=")
        if equals:
            parsed.append(Flag("--set", key.strip(), value.strip()))
        else:
            faults.append(
                Fault(key="--set", source="flag --set", message="must be section.key=value, as in http.port=8440")
            )
    return parsed


def _known(flags: Iterable[Flag], faults: list[Fault], warnings: list[str]) -> list[Flag]:
    found = []
    for flag in flags:
        key = _current(flag.key, f"flag {flag.name}", warnings)
        if key in rows():
            found.append(flag._replace(key=key))
        else:
            faults.append(_unknown(flag.key, f"flag {flag.name}", rows(), ()))
    return found


def _current(key: str, source: str, warnings: list[str]) -> str:
    """Return the current name of a key; an old name adds a warning."""
    new = current_names().get(key, key)
    if new != key:
        warnings.append(warning(key, new, source))
    return new


def _unknown(key: str, source: str, known: Iterable[str], groups: Iterable[str]) -> Fault:
    """Describe an unknown key. The value is never shown: a misspelt key may hold a password."""
    names = [*known, *groups]
    last = {name.rpartition(".")[2]: name for name in reversed(names)}
    close = get_close_matches(key, names, n=1, cutoff=0.6) or [
        last[word] for word in get_close_matches(key.rpartition(".")[2], last, n=1, cutoff=0.7)
    ]
    advice = f"did you mean {close[0]}?" if close else "'clarion-server config show' lists all settings"
    return Fault(key=key, source=source, message=f"there is no such setting; {advice}")


def _convert(row: Row, one: _Given, faults: list[Fault]) -> Any:
    if one.is_text and one.value == "":
        faults.append(Fault(key=row.key, source=one.source, message=f"is empty; must be {row.allowed}", shown='""'))
        return None
    try:
        value = msgspec.convert(
            _as_typed(row, one.value) if one.is_text else one.value, row.type, strict=not one.is_text, dec_hook=_path
        )
    except (msgspec.ValidationError, ValueError, TypeError):
        faults.append(
            Fault(key=row.key, source=one.source, message=f"must be {row.allowed}", shown=_shown(row, one.value))
        )
        return None
    return value


def _as_typed(row: Row, text: str) -> str:
    """Reject texts that msgspec would convert to something else.

    msgspec reads `null` as None where None is allowed; a host or a file may have that name.
    """
    if text.lower() == "null":
        raise ValueError(f"{row.key} cannot be unset by a word")
    if row.allowed.startswith("a whole number") and not _DIGITS.fullmatch(text):
        raise ValueError(f"{row.key} is a whole number in decimal digits")
    return text


def _path(wanted: type, value: object) -> Path:
    if wanted is not Path or not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("not a path")
    return Path(value).expanduser()


def _shown(row: Row, value: object) -> str | None:
    if "password" in row.name:
        return None  # the operator may have written the password itself instead of its file
    text = repr(value)
    return text if len(text) <= SHOWN_LIMIT else f"{text[:SHOWN_LIMIT]}… ({len(text)} characters)"


def _build(values: Mapping[str, Any]) -> Settings:
    tree: dict[str, dict[str, Any]] = {}
    top: dict[str, Any] = {}
    for key, value in values.items():
        row = rows()[key]
        if row.section:
            tree.setdefault(row.section, {})[row.name] = value
        else:
            top[key] = value
    kinds: dict[str, Callable[..., Any]] = {
        field.name: cast(Any, field.type) for field in msgspec.structs.fields(Settings)
    }
    return Settings(**top, **{section: kinds[section](**inner) for section, inner in tree.items()})
