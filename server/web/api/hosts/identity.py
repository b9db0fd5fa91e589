"""Who hosts are: take a host's identity away, and let it join again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import structlog

from server.core.effects import SaveIdentity
from server.core.model import HostIdentity
from server.errors import ClarionError
from server.web.api.hosts.hosts import view
from server.web.readmodel.lookup import known_host
from server.web.request import ApiRequest, ApiResponse

log = structlog.get_logger("server.web.api.hosts.identity")


async def revoke_host(call: ApiRequest, host: str) -> ApiResponse:
    """Revoke a host.

    Its session is cut at once, before this is answered, and its certificates are no good any more, whatever their dates
    say. What runs on it
    goes on, and its results are not taken. Revoking twice changes nothing.
    """
    now, by = call.deps.clock.now().wall_ms, call.by

    def revoked(old: HostIdentity) -> HostIdentity:
        return old if old.state == "revoked" else replace(old, revoked_at=now, revoked_by=by, released_at=None)

    return await _change(call, host, revoked, "revoked")


async def release_host(call: ApiRequest, host: str) -> ApiResponse:
    """Release a host.

    Ends a quarantine or a revocation by letting the host join again: with a new join token it keeps its id, and every
    certificate that it
    had before stays worthless. Also for a host that was away for longer than its certificate lived.
    """
    now = call.deps.clock.now().wall_ms

    def released(old: HostIdentity) -> HostIdentity:
        return replace(
            old, released_at=now, revoked_at=None, revoked_by=None, quarantined_at=None, quarantine_reason=None
        )

    return await _change(call, host, released, "revoked")


async def _change(call: ApiRequest, host: str, change: Callable[[HostIdentity], HostIdentity], why: str) -> ApiResponse:
    deps = call.deps
    host_id = known_host(deps, host).host.host_id
    if deps.identities.get(host_id) is None:
        raise ClarionError(
            "host_not_enrolled",
            "the host has never joined with a certificate",
            hint="there is nothing to take away from it",
        )

    async def write() -> None:
        async with call.desk.hosts:
            old = deps.identities.get(host_id)
            if old is None:
                raise ClarionError("host_not_enrolled")
            new = change(old)
            # In memory and on the wire first: a slow database must not keep the host connected.
            deps.identities.put(new)
            deps.fleet.disconnect(host_id, why)
            log.warning(f"host {new.state}", host_id=host_id, by=call.by)
            try:
                await deps.commits.commit([SaveIdentity(new)])
            except BaseException:
                if deps.identities.get(host_id) is new:
                    deps.identities.put(old)
                raise

    await call.desk.run_to_completion(write)
    return view(call, known_host(deps, host_id))
