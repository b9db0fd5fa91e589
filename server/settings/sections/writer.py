"""Settings of the one task that writes to the database: section `[writer]`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Struct

from server.settings.field_types import GIB, MIB, bounded


class Writer(Struct, frozen=True, kw_only=True):
    """The writer commits all changes to the database in batches."""

    linger_ms: Annotated[float, bounded(0, 1000, "How long a batch waits for more rows, in milliseconds.")] = 5.0
    max_rows: Annotated[
        int, bounded(1, 10_000, "Maximum number of rows in one transaction. A batch of this size does not wait.")
    ] = 4_000
    small_rows: Annotated[
        int,
        bounded(
            0,
            1_000,
            "A change of at most this many rows may be written before larger changes that are unrelated to it. A "
            "command on one host then does not wait for a command on ten thousand hosts. 0 keeps the order of arrival.",
        ),
    ] = 64
    batch_ms: Annotated[
        float,
        bounded(
            0,
            10_000,
            "Target duration of a large transaction while small changes arrive, in milliseconds. 0 means no target.",
        ),
    ] = 20.0
    high_water: Annotated[
        int,
        bounded(
            1,
            10_000_000,
            "Number of queued rows at which new work from outside must wait. Three executions of a new task count as "
            "one row.",
        ),
    ] = 50_000
    low_water: Annotated[
        int, bounded(0, 10_000_000, "Number of queued rows at which the server accepts new work again.")
    ] = 25_000
    reading_high_water: Annotated[
        int,
        bounded(
            1,
            20_000_000,
            "Number of queued rows at which the server stops reading from agents, until the queue is down to "
            "`writer.high_water`.",
        ),
    ] = 100_000
    high_water_bytes: Annotated[
        int, bounded(MIB, 64 * GIB, "Bytes in the queue at which new work from outside must wait.")
    ] = 256 * MIB
