"""Imports go one way: what each room may import is written here, and everything else fails.

A room is a folder or a single module. Test code and deploy/ stand outside.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGES = ("server", "agent", "_speedups", "proto", "loadtest")

CORE_SEES = {"_speedups", "proto", "server.errors", "server.core"}
MIDDLE = CORE_SEES | {"server.ports", "server.turns", "server.settings", "server.ops", "server.security"}
EDGE = MIDDLE | {"server.conductor", "server.fleet", "server.store"}
RPC = EDGE | {"server.rpc.settings", "server.rpc.authenticate"}
WEB_BELOW = EDGE | {"server.web.schemas", "server.web.http", "server.web.readmodel"}
WEB_FRAME = {"server.web.request", "server.web.context", "server.web.resource"}

# room → the rooms of ours that it may import, besides itself. A room within a room may also be imported by the modules
# that stand
# directly in the outer one.
ROOMS: dict[str, set[str]] = {
    "_speedups": set(),
    "proto": set(),
    "server.errors": {"proto.common"},
    "server.core": CORE_SEES,
    "server.ports": CORE_SEES,
    "server.turns": set(),
    "server.settings": CORE_SEES | {"server.ports"},
    "server.security": CORE_SEES | {"server.ports", "server.settings"},
    "server.ops": CORE_SEES | {"server.ports", "server.settings", "server.security", "server.store.base"},
    "server.conductor": MIDDLE,
    "server.fleet": MIDDLE,
    "server.store": MIDDLE,
    "server.rpc": EDGE | {"server.rpc.accept", "server.rpc.connection", "server.rpc.session"},
    "server.rpc.accept": EDGE,
    "server.rpc.connection": RPC | {"server.rpc.accept"},
    "server.rpc.session": RPC | {"server.rpc.accept", "server.rpc.connection"},
    "server.web": WEB_BELOW
    | {"server.web.service", "server.web.api", "server.web.nouns", "server.web.openapi", "server.web.page"},
    "server.web.schemas": EDGE,
    "server.web.http": EDGE | {"server.web.schemas"},
    "server.web.readmodel": EDGE | {"server.web.schemas", "server.web.http"},
    "server.web.service": WEB_BELOW | WEB_FRAME,
    "server.web.api": WEB_BELOW | WEB_FRAME | {"server.web.service"},
    "server.web.nouns": WEB_BELOW | WEB_FRAME | {"server.web.service", "server.web.openapi"},
    "server.web.openapi": WEB_BELOW | {"server.web.service"},
    "server.web.page": EDGE | WEB_FRAME | {"server.web.http"},
    "server.cluster": EDGE,
    "server.lifecycle": EDGE | {"server.rpc", "server.web", "server.cluster"},
    "server.backup": MIDDLE | {"server.store", "server.lifecycle"},
    "server.app": EDGE | {"server.rpc", "server.web", "server.cluster", "server.lifecycle"},
    "server.admin": EDGE | {"server.app", "server.backup", "server.cluster", "server.doctor", "server.lifecycle"},
    "server.doctor": EDGE | {"server.backup", "server.lifecycle"},
    "server.cli": {
        "server.errors",
        "server.core.selectors.fold",
        "proto.reasons",
        "proto.words",
        "proto.notes",
        "proto.readable",
        "proto.common",
        "proto.ids",
    },
    "agent": {"_speedups", "proto", "agent.core"},
    "agent.core": {"proto", "_speedups"},
    "loadtest": {"_speedups", "proto"},
}

# room → everything outside the standard library that it may import; rooms not named here may import what pyproject.toml
# installs
LIBRARIES: dict[str, set[str]] = {
    "server.core": {"msgspec"},
    "server.errors": set(),
    "server.ports": set(),
    "server.cli": {"click", "httpx", "rich", "orjson", "msgspec", "yaml"},
    "agent.core": {"msgspec"},
    "_speedups": {"cython", "Cython"},
}

CLOCKS_AND_DICE = {
    "time",
    "random",
    "uuid",
    "secrets",
    "os",
    "socket",
    "threading",
    "asyncio",
    "sqlite3",
    "subprocess",
    "ssl",
}
FORBIDDEN = {
    "server.core": CLOCKS_AND_DICE | {"trio", "quart", "quart_trio", "grpclib", "hypercorn", "trio_mysql", "h2"},
    "agent.core": CLOCKS_AND_DICE | {"trio", "quart", "quart_trio", "grpclib", "hypercorn", "trio_mysql", "h2"},
}
NOW = {("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today")}


def module_name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def room_of(module: str) -> str:
    """The longest room that holds the module."""
    for room in sorted(ROOMS, key=len, reverse=True):
        if module == room or module.startswith(f"{room}."):
            return room
    return module


def imports_of(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, module) for every import; `from a import b` gives a.b, which may be a name or a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative imports hide where a name comes from"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


@pytest.fixture(scope="session")
def modules(files: list[Path], root: Path) -> dict[str, tuple[Path, ast.Module]]:
    ours = [
        path
        for path in files
        if path.suffix == ".py" and path.parts[0] in PACKAGES and path.parts[:2] != ("proto", "gen")
    ]
    return {module_name(path): (path, ast.parse((root / path).read_text(), str(path))) for path in ours}


def ours(name: str) -> bool:
    return name.split(".")[0] in PACKAGES


def may_see(room: str, name: str) -> bool:
    target = room_of(name)
    return target == room or any(name == seen or name.startswith(f"{seen}.") or target == seen for seen in ROOMS[room])


def test_every_module_is_in_a_room(modules: dict[str, tuple[Path, ast.Module]]) -> None:
    roomless = [
        str(path)
        for name, (path, _) in modules.items()
        if room_of(name) not in ROOMS and name not in ("server", "server.__main__")
    ]
    assert not roomless, "say in ROOMS what they may import"


@pytest.mark.capability("C12")
def test_imports_follow_the_arrows(modules: dict[str, tuple[Path, ast.Module]]) -> None:
    wrong = [
        f"{path}:{line}: {room_of(module)} must not import {name}"
        for module, (path, tree) in modules.items()
        if room_of(module) in ROOMS
        for line, name in imports_of(tree)
        if ours(name) and not may_see(room_of(module), name)
    ]
    assert not wrong, "\n" + "\n".join(wrong)


def test_the_pure_rooms_know_no_loop_no_database_no_clock_and_no_dice(
    modules: dict[str, tuple[Path, ast.Module]],
) -> None:
    wrong = [
        f"{path}:{line}: {name}"
        for module, (path, tree) in modules.items()
        for line, name in imports_of(tree)
        if name.split(".")[0] in FORBIDDEN.get(room_of(module), set())
    ]
    wrong += [
        f"{path}:{node.lineno}: {node.value.id}.{node.attr}"
        for module, (path, tree) in modules.items()
        if room_of(module) in FORBIDDEN
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and (node.value.id, node.attr) in NOW
    ]
    assert not wrong, "\n" + "\n".join(wrong)


def test_rooms_with_a_short_list_of_libraries_keep_to_it(modules: dict[str, tuple[Path, ast.Module]]) -> None:
    wrong = [
        f"{path}:{line}: {name}"
        for module, (path, tree) in modules.items()
        if (allowed := LIBRARIES.get(room_of(module))) is not None
        for line, name in imports_of(tree)
        if not ours(name) and name.split(".")[0] not in allowed | sys.stdlib_module_names
    ]
    assert not wrong, "\n" + "\n".join(wrong)


def test_no_module_imports_itself_by_a_detour(modules: dict[str, tuple[Path, ast.Module]]) -> None:
    """Imports inside functions count. Those under TYPE_CHECKING do not: nothing is loaded by them."""

    def targets(module: str) -> set[str]:
        found = set()
        loaded = [
            node for node in modules[module][1].body if "TYPE_CHECKING" not in ast.unparse(node).partition("\n")[0]
        ]
        for _, name in imports_of(ast.Module(loaded, [])):
            while name and name not in modules:
                name = name.rpartition(".")[0]
            if name and name != module:
                found.add(name)
        return found

    graph = {module: targets(module) for module in modules}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, "cycle: " + " → ".join((*path[path.index(module) :], module))
        if module in done:
            return
        for target in sorted(graph[module]):
            visit(target, (*path, module))
        done.add(module)

    for module in sorted(graph):
        visit(module, ())


WRITES = {"submit", "commit", "run_to_completion"}
"""Methods that change the engine's state or the database."""
WRITES_OF = {
    ("fleet", "put"),
    ("fleet", "remove"),
    ("fleet", "disconnect"),
    ("identities", "put"),
    ("identities", "remove"),
    ("requests", "put"),
    ("sessions", "log_in"),
    ("sessions", "log_out"),
    ("store", "write"),
}
"""The same for methods with a common name: (attribute that holds the object, method)."""


def test_only_the_service_of_the_web_room_writes(modules: dict[str, tuple[Path, ast.Module]]) -> None:
    """Permissions and the audit log need one place through which every change goes."""

    def writes(node: ast.Attribute) -> bool:
        holder = node.value
        name = holder.attr if isinstance(holder, ast.Attribute) else holder.id if isinstance(holder, ast.Name) else ""
        return node.attr in WRITES or (name.removeprefix("_"), node.attr) in WRITES_OF

    wrong = [
        f"{path}:{node.lineno}: {ast.unparse(node)}"
        for module, (path, tree) in modules.items()
        if module.startswith("server.web.") and not module.startswith("server.web.service.")
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and writes(node)
    ]
    wrong += [
        f"{path}:{line}: {name}"
        for module, (path, tree) in modules.items()
        if module.startswith("server.web.") and not module.startswith("server.web.service.")
        for line, name in imports_of(tree)
        if name.startswith("server.core.events.")
        or (name.startswith("server.core.effects.") and name.rpartition(".")[2] not in READ_BY_WEB)
    ]
    assert not wrong, "\n" + "\n".join(wrong)


READ_BY_WEB = {"Progress", "Save", "SaveExecution"}
"""Effects that read models receive after their commit."""
