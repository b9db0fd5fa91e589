"""A process that computes for a share of its time: `python -m loadtest.measure.burn SHARE`, until it is killed.

It replaces the CPU load of viewers in runs without them. On a small machine that load alone slows down the server, and
it is not part of the work that the server does for viewers.
"""

from __future__ import annotations

import sys
import time

SLICE = 0.05
"""Seconds of computing plus rest."""


def burn(share: float) -> None:
    while True:
        end = time.monotonic() + SLICE * share
        while time.monotonic() < end:
            pass
        time.sleep(SLICE * (1 - share))


if __name__ == "__main__":
    burn(min(1.0, float(sys.argv[1])))
