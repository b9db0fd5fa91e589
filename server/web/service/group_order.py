"""Stores the numbers of a task's result groups."""

from __future__ import annotations

import trio

from server.core.effects import SaveKinds
from server.store.base import StoreUnavailable
from server.web.readmodel.deps import Deps


async def save_group_order(deps: Deps, command_id: str, kinds: bytes) -> None:
    """Commit the order in which a command's result groups appeared, so that each group keeps its number.

    Args:
        deps: The parts of the server.
        command_id: The command.
        kinds: The encoded order.

    Raises:
        StoreUnavailable: The commit took longer than limits.write_timeout.
    """
    with trio.move_on_after(deps.limits.write_timeout):
        await deps.commits.commit([SaveKinds(command_id, kinds)])
        return
    raise StoreUnavailable("the numbers of the result groups are not committed yet")
