"""A stored noun joins by the files in its folders: no list names it, and it costs few files.

docs/design/nouns.md says which file goes where. `tests/noun` declares a noun that exists in tests only and uses it.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

from proto.common.modules import declared_in, modules_in
from server.errors.problem import Problem
from server.store.tables.registry import ORDERED, TABLES
from server.store.tables.table import Table
from server.web.resource import Resource
from server.web.routes import ROUTES
from tests.house.test_imports import imports_of, module_name

FOUND = ("server.store.nouns", "server.web.nouns", "server.cli.nouns", "server.errors.nouns")
"""Packages whose modules are found by their folder."""
MOST = 12
"""Product files of one noun, without tests and documentation."""
HOST_SET = re.compile(r"(?:[Hh]ost[_ ]?[Ss]ets?|HOST_SETS?)\b|@web and not @canary|\b(?:task|chosen|old)\.sets\b")
NOUN = {
    "server/core/nouns/host_set.py",
    "server/errors/nouns/host_set.py",
    "server/settings/sections/limits.py",
    "server/store/migrations/014_host_sets.mysql.sql",
    "server/store/migrations/014_host_sets.sqlite.sql",
    "server/store/nouns/host_set.py",
    "server/web/nouns/host_sets.py",
    "server/web/service/host_sets.py",
    "server/web/page/static/nouns/hosts/sets.js",
    "server/web/page/static/nouns/hosts/sets.json",
    "server/cli/nouns/sets.py",
}
"""The files of a host set as a noun. Migration 014 is older than files for both databases; a new noun has one file."""
GRAMMAR = {
    "server/cli/host_arguments.py",
    "server/core/selectors/evaluate.py",
    "server/core/selectors/host_sets.py",
    "server/core/selectors/parser.py",
    "server/web/page/static/pages/help.js",
    "server/web/service/targets.py",
}
"""The files of `@NAME` in selectors, the feature for which there are host sets."""
TASKS = {
    "server/core/model/task.py",
    "server/cli/commands/tasks/show.py",
    "server/store/migrations/015_task_sets.sql",
    "server/store/tables/task.py",
    "server/web/page/static/pages/task.js",
    "server/web/readmodel/serialize.py",
    "server/web/schemas/tasks.py",
    "server/web/service/create_task.py",
    "server/web/service/rerun_task.py",
}
"""The files by which a task keeps the version of each set that it used."""


def product(files: list[Path]) -> list[Path]:
    return [path for path in files if path.parts[0] == "server" and "vendor" not in path.parts]


def test_no_module_names_a_module_that_is_found_by_its_folder(files: list[Path], root: Path) -> None:
    """Otherwise that module would be a list which the next noun has to join."""
    named = [
        f"{path}:{line}: {name}"
        for path in product(files)
        if path.suffix == ".py"
        for line, name in imports_of(ast.parse((root / path).read_text()))
        if any(name.startswith(f"{package}.") for package in FOUND)
        and not any(module_name(path).startswith(f"{package}.") for package in FOUND)
    ]
    assert not named, "\n".join(named)


def test_every_module_of_a_folder_is_in_use() -> None:
    assert set(TABLES.all) == {*ORDERED, *declared_in("server.store.nouns", Table)}
    nouns = declared_in("server.web.nouns", Resource)
    assert {route.path for noun in nouns for route in noun.routes()} <= {route.path for route in ROUTES}
    for noun in nouns:
        assert noun.record in TABLES.by_record, f"{noun.noun}: its table is not in server/store/nouns"
    assert declared_in("server.errors.nouns", Problem)


@pytest.mark.parametrize("package", FOUND)
def test_a_new_module_is_found_without_being_named(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "later").mkdir()
    (tmp_path / "new_noun.py").write_text("ANSWER = 42\n")
    (tmp_path / "later" / "__init__.py").write_text("")
    (tmp_path / "later" / "another.py").write_text("ANSWER = 43\n")
    loaded = __import__(package, fromlist=["*"])
    monkeypatch.setattr(loaded, "__path__", [*loaded.__path__, str(tmp_path)])
    names = {f"{package}.{name}" for name in ("new_noun", "later.another")}
    try:
        assert names <= set(modules_in(package))
        assert {42, 43} <= set(declared_in(f"{package}.later", int)) | {
            one for one in vars(__import__(f"{package}.new_noun", fromlist=["*"])).values() if isinstance(one, int)
        }
        with pytest.raises(LookupError, match="another declares no Table"):
            declared_in(f"{package}.later", Table)
    finally:
        for name in (*names, f"{package}.later"):
            sys.modules.pop(name, None)


def test_a_host_set_costs_few_files(files: list[Path], root: Path) -> None:
    """The list is exact, so that a further place which has to know of host sets is seen here."""
    found = {str(path) for path in product(files) if HOST_SET.search((root / path).read_text())}
    assert found == NOUN | GRAMMAR | TASKS, "a further file has to know of host sets: change the place, not the list"
    assert len(NOUN) <= MOST
