"""Picks the compiled route where it was built, else the plain one; CLARION_PURE=1 forces the plain one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from _speedups import route_py

if TYPE_CHECKING:
    from _speedups.route_py import route
else:
    route = route_py.route

IMPLEMENTATION = "py"
"""Which one was picked: `c` or `py`."""

if not TYPE_CHECKING and os.environ.get("CLARION_PURE", "") != "1":
    try:
        from _speedups.route_c import route

        IMPLEMENTATION = "c"
    except ModuleNotFoundError as error:
        # A build without a compiler has no such module. One that is there and cannot be loaded is a fault to be seen.
        if error.name != "_speedups.route_c":
            raise

__all__ = ["IMPLEMENTATION", "route"]
