"""Numbers on the command line: bounded where they enter, as JSON and the server take 64 bits."""

from __future__ import annotations

from typing import Any

import click

LARGEST = 2**63 - 1


class Whole(click.IntRange):
    """A whole number from `low` to `high`, and to LARGEST in any case. The help shows the bounds that were asked for
    only."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if abs(number) > LARGEST:
            self.fail(f"{str(value)[:40]} is larger than any number that the server takes", param, ctx)
        return number
