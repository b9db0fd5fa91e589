"""Applies a break: compiles one function with a changed piece of source text in its own module.

If the line was rewritten and the piece is no longer in it, the break fails instead of proving nothing.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import server.conductor as server_conductor
import server.core.admission as server_admission
import server.core.engine as server_engine
import server.core.executions as server_executions
import server.core.hosts as server_hosts
import server.core.retry as server_retry
import server.core.rollback as server_rollback
import server.core.tasks as server_tasks
import server.store.writer as server_writer
import tests.tools.simulate.machines.database as simulated_database

USERS = (
    server_executions,
    server_hosts,
    server_admission,
    server_engine,
    server_tasks,
    server_rollback,
    server_retry,
    server_conductor,
    server_writer,
    simulated_database,
)
"""Modules that import broken functions by name."""


@dataclass(frozen=True, slots=True)
class Break:
    """One deliberate fault.

    Attributes:
        what: What the fault does; also the id of its test.
        where: The module or class that holds the function `name`.
        right: A piece of the function's source text, which occurs once in it.
        wrong: The text that replaces it.
        seeds: Maximum number of seeds to play.
        first: The first seed. Rare faults start near a seed that finds them.
        aim: Parameters of World.
        given: Another change that breaks no promise by itself, but removes a second protection of the same promise.
    """

    what: str
    where: Any
    name: str
    right: str
    wrong: str
    seeds: int = 300
    first: int = 0
    aim: Mapping[str, Any] = field(default_factory=dict)
    given: Break | None = None


def altered(broken: Break) -> Any:
    """Return the function with its wrong piece."""
    function = inspect.unwrap(getattr(broken.where, broken.name))
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(broken.right) == 1, f"{broken.what}: {broken.name} does not hold {broken.right!r} exactly once"
    names: dict[str, Any] = {}
    exec(compile(source.replace(broken.right, broken.wrong), f"<{broken.what}>", "exec"), function.__globals__, names)
    return names[broken.name]


@contextmanager
def applied(broken: Break) -> Iterator[None]:
    """Apply a break, and the change that it needs, while the context is open."""
    with applied(broken.given) if broken.given is not None else nullcontext(), _one_applied(broken):
        yield


@contextmanager
def _one_applied(broken: Break) -> Iterator[None]:
    kept, made = getattr(broken.where, broken.name), altered(broken)
    tables: tuple[dict[type, Any], ...] = (server_engine.HANDLERS, server_engine.REPORTS)
    kinds = [(table, kind) for table in tables for kind, handler in table.items() if handler is kept]
    users = [module for module in USERS if getattr(module, broken.name, None) is kept]
    for module in {broken.where, *users}:
        setattr(module, broken.name, made)
    for table, kind in kinds:
        table[kind] = made
    try:
        yield
    finally:
        for module in {broken.where, *users}:
            setattr(module, broken.name, kept)
        for table, kind in kinds:
            table[kind] = kept
