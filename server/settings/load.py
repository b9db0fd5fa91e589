"""Settings from defaults < file < environment < flags, each value checked by itself, all faults reported at once."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec

from server.settings.renamed import current_names, variable, warning
from server.settings.rules import broken, value_of
from server.settings.schema import Fault, Loaded, Settings, SettingsError
from server.settings.table import Row, plain, rows, sections

FILE_LIMIT = 1 << 20
SHOWN_LIMIT = 80
_DIGITS = re.compile(r"-?(?:0|[1-9][0-9]*)")
"""msgspec takes `1e3` for 1000, too."""
CONFIG_VARIABLE = "CLARION_CONFIG"


class Flag(NamedTuple):
    """One setting from the command line: the flag's name as typed, the dotted key, the text."""

    name: str
    key: str
    text: str


class _Given(NamedTuple):
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
    """`config`: a TOML file that must exist; otherwise that named by CLARION_CONFIG, otherwise server.toml in the data
    directory where there is one. `sets`: texts `section.key=value` as given to --set. Of two flags for one key the
    later
    one counts, named flags after --set. Raises SettingsError with every fault found.
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
    beside = Path(data.value if data else cast(Path, rows()["data"].default)) / "server.toml"
    return beside if os.path.lexists(beside) else None


def _read(file: Path, faults: list[Fault], warnings: list[str]) -> dict[str, _Given]:
    source = f"file {file}"
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
                message=f"cannot be read: {error.strerror}; name a file that is there and readable",
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
                        message=f"is a section, not a value; write [{name}] on a line of its own and its keys below",
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
                        message=f"is the old name of {new}, which is given too; keep one of them",
                    )
                )
            elif new in rows():
                given[new] = _Given(leaf, source, False)
            else:
                faults.append(_unknown(key, source, rows(), sections()))
    return given


def _environment(env: Mapping[str, str], faults: list[Fault], warnings: list[str]) -> dict[str, _Given]:
    """Other programs' variables begin with CLARION_ too (the agent's, the CLI's, Kubernetes' CLARION_PORT), so an
    unknown name
    is a fault only where it can hardly mean anything else: below a section's name, or a near miss of a known one.
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
                        message=f"is the old name of {new.variable}, which is given too; keep one of them",
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
                Fault(key="--set", source="flag --set", message="must be section.key=value, as in --set http.port=8440")
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
    """The key under its present name. An old one adds a warning."""
    new = current_names().get(key, key)
    if new != key:
        warnings.append(warning(key, new, source))
    return new


def _unknown(key: str, source: str, known: Iterable[str], groups: Iterable[str]) -> Fault:
    """Never shows the value: a misspelt key may well hold a password."""
    names = [*known, *groups]
    last = {name.rpartition(".")[2]: name for name in reversed(names)}
    close = get_close_matches(key, names, n=1, cutoff=0.6) or [
        last[word] for word in get_close_matches(key.rpartition(".")[2], last, n=1, cutoff=0.7)
    ]
    advice = f"did you mean {close[0]}?" if close else "'clarion-server config show' lists them all"
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
    """msgspec reads the word `null` as None where None is allowed; a host or a file may be called that."""
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
        return None  # somebody may have put the password itself where its file belongs
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
