"""`route`, compiled where it was built. route_py describes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from _speedups.pick import pick

IMPLEMENTATION, (_route,) = pick("_speedups.route.route")
"""Which twin was picked: `c` or `py`."""

if TYPE_CHECKING:
    from _speedups.route.route_py import route
else:
    route = _route.route

__all__ = ["IMPLEMENTATION", "route"]
