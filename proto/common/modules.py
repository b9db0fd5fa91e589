"""Finds modules by their folder, so that a noun joins by its files alone and no list names it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import import_module
from typing import TypeVar

T = TypeVar("T")


def modules_in(package: str) -> Iterator[str]:
    """Yield the full names of the modules of a package and of the packages in it, by name.

    Packages are imported, their modules are not. It lists folders itself, because the command line uses it and
    `pkgutil` takes longer to load than everything that it would find here.
    """
    for folder in import_module(package).__path__:
        for entry in sorted(os.scandir(folder), key=lambda one: one.name):
            name, dot, suffix = entry.name.partition(".")
            if name.startswith("__"):
                continue
            if entry.is_dir():
                yield from modules_in(f"{package}.{name}")
            elif dot and suffix in ("py", "pyc"):
                yield f"{package}.{name}"


def declared_in(package: str, kind: type[T]) -> list[T]:
    """Import the modules of a package and return what they declare, in the order of `modules_in`.

    Args:
        package: Full name of the package.
        kind: The class of a declaration.

    Raises:
        LookupError: A module declares nothing, so its folder is the wrong one.
    """
    found: dict[int, T] = {}
    for name in modules_in(package):
        declared = [value for value in vars(import_module(name)).values() if isinstance(value, kind)]
        if not declared:
            raise LookupError(f"{name} declares no {kind.__name__}")
        found |= {id(value): value for value in declared}
    return list(found.values())
