"""Old names of settings are accepted with a warning that names the new one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from server.settings.faults import SettingsError
from server.settings.load import Flag, load
from server.settings.renamed import current_names, variable
from server.settings.rules import value_of
from server.settings.table import plain, rows

PAIRS = list(current_names().items())


@pytest.fixture(autouse=True)
def empty_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def valid(key: str) -> Any:
    return rows()[key].default


def test_the_table_names_settings_that_exist_and_none_that_it_calls_old() -> None:
    assert PAIRS
    assert [new for _, new in PAIRS if new not in rows()] == []
    assert [old for old, _ in PAIRS if old in rows()] == []


@pytest.mark.parametrize(("old", "new"), PAIRS)
def test_a_file_may_use_the_old_name(old: str, new: str, tmp_path: Path) -> None:
    file = tmp_path / "old.toml"
    section, name = old.split(".")
    file.write_text(f"[{section}]\n{name} = {plain(valid(new))}\n")
    loaded = load(file, environ={})
    assert value_of(loaded.settings, new) == valid(new)
    assert loaded.sources[new] == f"file {file}"
    (warning,) = loaded.warnings
    assert old in warning and new in warning


@pytest.mark.parametrize(("old", "new"), PAIRS)
def test_the_environment_may_use_the_old_name(old: str, new: str) -> None:
    loaded = load(environ={variable(old): plain(valid(new))})
    assert loaded.sources[new] == f"environment {variable(old)}"
    (warning,) = loaded.warnings
    assert variable(old) in warning and rows()[new].variable in warning


@pytest.mark.parametrize(("old", "new"), PAIRS)
def test_flags_may_use_the_old_name(old: str, new: str) -> None:
    for given in ({"sets": [f"{old}={plain(valid(new))}"]}, {"flags": [Flag("--some-flag", old, plain(valid(new)))]}):
        loaded = load(environ={}, **given)  # type: ignore[arg-type]
        assert loaded.sources[new].startswith("flag ")
        (warning,) = loaded.warnings
        assert old in warning and new in warning


def test_the_value_given_under_the_old_name_counts() -> None:
    assert load(environ={}, sets=["guard.grave_" + "refusals=7"]).settings.guard.abuse_weight == 7


def test_new_names_give_no_warning() -> None:
    assert load(environ={}, sets=[f"{new}={plain(valid(new))}" for _, new in PAIRS]).warnings == ()


@pytest.mark.parametrize(
    "lines", [("grave_" + "refusals = 3", "abuse_weight = 4"), ("abuse_weight = 4", "grave_" + "refusals = 3")]
)
def test_a_file_with_both_names_is_refused(lines: tuple[str, str], tmp_path: Path) -> None:
    file = tmp_path / "both.toml"
    file.write_text("[guard]\n" + "\n".join(lines) + "\n")
    with pytest.raises(SettingsError, match="abuse_weight, which is set too"):
        load(file, environ={})


def test_an_environment_with_both_names_is_refused() -> None:
    both = {variable("guard.grave_" + "refusals"): "3", variable("guard.abuse_weight"): "4"}
    with pytest.raises(SettingsError, match="which is set too"):
        load(environ=both)
