"""Endpoints of host identities: revoke and release."""

from __future__ import annotations

from server.web.api.hosts.hosts import host_response
from server.web.request import ApiRequest, ApiResponse
from server.web.service import host_identity


async def revoke_host(call: ApiRequest, host: str) -> ApiResponse:
    """Revoke a host.

    Ends the host's session before the request is answered, and makes its certificates invalid before their end dates.
    Commands that run on the host continue, and the server does not accept their results. Revoking a host twice has no
    further effect.
    """
    return host_response(call, await host_identity.revoke_host(call, host))


async def release_host(call: ApiRequest, host: str) -> ApiResponse:
    """Release a host.

    Ends a quarantine or a revocation. The host can join again with a new join token and keeps its id; its earlier
    certificates stay invalid. Also use this for a host that was offline for longer than its certificate was valid.
    """
    return host_response(call, await host_identity.release_host(call, host))
