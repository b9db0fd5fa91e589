"""`Tally`, compiled where it was built. tally_py describes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from _speedups.pick import pick

IMPLEMENTATION, (_tally,) = pick("_speedups.tally.tally")
"""Which twin was picked: `c` or `py`."""

if TYPE_CHECKING:
    from _speedups.tally.tally_py import Tally
else:
    Tally = _tally.Tally

__all__ = ["IMPLEMENTATION", "Tally"]
