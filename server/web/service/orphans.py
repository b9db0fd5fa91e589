"""Deletes records of executions that hosts know and the database does not."""

from __future__ import annotations

from proto.ids import is_id
from server.core.effects import DeleteOrphans
from server.errors import ClarionError
from server.web.request import ApiRequest


async def delete_orphans(call: ApiRequest, host_id: str) -> None:
    """Delete all orphans of a host, which may be deleted itself.

    Raises:
        ClarionError: orphans_not_found or store_unavailable.
    """
    if not is_id(host_id) or not await call.deps.store.orphans(host_id=host_id, after=None, limit=1):
        raise ClarionError("orphans_not_found")
    await call.context.run_to_completion(lambda: call.deps.commits.commit([DeleteOrphans(host_id)]))
