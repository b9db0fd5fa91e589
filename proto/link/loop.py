"""The asyncio loop that grpclib runs on, inside trio."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio_asyncio

from proto.common.exception_groups import sole


@asynccontextmanager
async def asyncio_loop() -> AsyncIterator[None]:
    """Use the loop that this task is already in, or open one for the duration.

    Opening one opens nurseries; their exception groups are an inner affair, so a single exception comes out as itself.
    """
    if trio_asyncio.current_loop.get() is not None:
        yield
        return
    try:
        async with trio_asyncio.open_loop():
            yield
    except BaseExceptionGroup as group:
        error = sole(group)
        if error is group:
            raise
        raise error from error.__cause__
