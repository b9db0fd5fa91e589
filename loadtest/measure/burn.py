"""A process that computes for a share of its time and does nothing else: `python -m loadtest.measure.burn SHARE`, until
it is killed.

It stands for the computing of those who watch while nobody does. On a small machine that alone slows down the server,
and is not what the
server does for them.
"""

from __future__ import annotations

import sys
import time

SLICE = 0.05
"""Seconds of computing and rest."""


def burn(share: float) -> None:
    while True:
        end = time.monotonic() + SLICE * share
        while time.monotonic() < end:
            pass
        time.sleep(SLICE * (1 - share))


if __name__ == "__main__":
    burn(min(1.0, float(sys.argv[1])))
