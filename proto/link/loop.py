"""The asyncio loop of grpclib, inside trio."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio_asyncio

from proto.common.exception_groups import sole
from proto.link import grpclib_internals as grpclib_internals  # it makes grpclib find the tasks of this loop


@asynccontextmanager
async def asyncio_loop() -> AsyncIterator[None]:
    """Use the loop of the present task, or open one while the context is open.

    Opening one opens nurseries. Their exception groups are removed, so that a single exception is raised as itself.
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
