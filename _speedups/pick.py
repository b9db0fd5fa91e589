"""Picks the compiled modules where they were built, else their plain twins; CLARION_PURE=1 forces the plain ones."""

from __future__ import annotations

import os
from importlib import import_module
from types import ModuleType


def pick(*names: str) -> tuple[str, list[ModuleType]]:
    """Import the named modules, all of them compiled or all of them plain.

    Args:
        names: modules without the ending `_c` or `_py`. Whether the first one is compiled decides for all.

    Returns:
        `c` or `py`, and the modules in the order of their names.

    Raises:
        ImportError: the first one is compiled and another one is not, or a compiled one cannot be loaded.
    """
    if os.environ.get("CLARION_PURE", "") != "1":
        try:
            return "c", [import_module(f"{name}_c") for name in names]
        except ModuleNotFoundError as error:
            # A build without a compiler has no such module. One that is there and cannot be loaded is a fault to be
            # seen.
            if error.name != f"{names[0]}_c":
                raise
    return "py", [import_module(f"{name}_py") for name in names]
