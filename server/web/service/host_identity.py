"""Revokes and releases the identities of hosts, which their certificates prove."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import structlog

from server.core.effects import SaveIdentity
from server.core.model import HostIdentity
from server.errors import ClarionError
from server.web.readmodel.lookup import known_host
from server.web.request import ApiRequest

log = structlog.get_logger(__name__)


async def revoke_host(call: ApiRequest, host: str) -> str:
    """Make a host's certificates invalid and end its session.

    Args:
        call: The request.
        host: Id or name of the host.

    Returns:
        The host's id.

    Raises:
        ClarionError: host_not_found, host_ambiguous, host_not_enrolled or store_unavailable.
    """
    now, by = call.deps.clock.now().wall_ms, call.by

    def revoked(old: HostIdentity) -> HostIdentity:
        return old if old.state == "revoked" else replace(old, revoked_at=now, revoked_by=by, released_at=None)

    return await _change(call, host, revoked)


async def release_host(call: ApiRequest, host: str) -> str:
    """Let a revoked or quarantined host join again with its old id. Arguments, result and errors as `revoke_host`."""
    now = call.deps.clock.now().wall_ms

    def released(old: HostIdentity) -> HostIdentity:
        return replace(
            old, released_at=now, revoked_at=None, revoked_by=None, quarantined_at=None, quarantine_reason=None
        )

    return await _change(call, host, released)


async def _change(call: ApiRequest, host: str, change: Callable[[HostIdentity], HostIdentity]) -> str:
    deps = call.deps
    host_id = known_host(deps, host).host.host_id
    if deps.identities.get(host_id) is None:
        raise ClarionError(
            "host_not_enrolled",
            "the host has never joined with a certificate",
            hint="there is no certificate to revoke or release",
        )

    async def write() -> None:
        async with call.context.host_lock:
            old = deps.identities.get(host_id)
            if old is None:
                raise ClarionError("host_not_enrolled")
            new = change(old)
            # Memory and session first: a slow database must not keep the host connected.
            deps.identities.put(new)
            deps.fleet.disconnect(host_id, "revoked")
            log.warning("host_identity_changed", host_id=host_id, state=new.state, by=call.by)
            try:
                await deps.commits.commit([SaveIdentity(new)])
            except BaseException:
                if deps.identities.get(host_id) is new:
                    deps.identities.put(old)
                raise

    await call.context.run_to_completion(write)
    return host_id
