"""Picks the compiled modules where they were built, else their plain twins. CLARION_PURE=1 forces the plain ones.

A module `name_py` is compiled a second time as `name_c`; the two are called twins.
"""

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
            # A build without a compiler has no such module. A module that exists and cannot be loaded is an error.
            if error.name != f"{names[0]}_c":
                raise
    return "py", [import_module(f"{name}_py") for name in names]


def same_twin(importer: str, name: str) -> ModuleType:
    """Import the twin of `name` that belongs to the importing module.

    Args:
        importer: `__name__` of the importing module, which ends in `_c` or `_py`.
        name: the wanted module without that ending.
    """
    return import_module(f"{name}_{importer.rpartition('_')[2]}")
