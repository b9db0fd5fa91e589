"""Field types that several response schemas share.

In all schemas, fields named `*_at` are milliseconds since 1970 UTC, and fields named `*_ms` are durations in
milliseconds. A missing value is null.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

TaskStatusWord = Annotated[str, Meta(description="pending, running, completed, failed, canceled or timeout.")]
ExecutionStatusWord = Annotated[
    str,
    Meta(description="pending, dispatched, running, completed, failed, timeout, canceled, dispatch_failed or lost."),
]
Cursor = Annotated[str | None, Meta(description="Pass it as `after` to get the next page; null on the last page.")]
ByAgent = Annotated[int | None, Meta(description="Measured by the agent's clock.")]
