"""Creates and deletes join tokens, and decides join requests."""

from __future__ import annotations

from dataclasses import replace

import structlog

from server.core.effects import CreateJoinToken, DeleteJoinToken, SaveJoinRequest
from server.core.model import JoinRequest, JoinToken
from server.errors import ClarionError
from server.security import approval
from server.security.tokens import Kind, make
from server.web.request import ApiRequest
from server.web.schemas.requests import JoinTokenBody
from server.web.service.checks import check_labels

log = structlog.get_logger(__name__)

TTL_MIN, TTL_MAX = 10.0, 30 * 86_400.0
"""Seconds."""
USES_MAX = 100_000
"""Hosts that can join with one token."""


async def create_join_token(call: ApiRequest, body: JoinTokenBody) -> tuple[JoinToken, str]:
    """Create a join token.

    Returns:
        The committed token, and its text. The server keeps only the SHA-256 of the text.

    Raises:
        ClarionError: invalid_value, overloaded or store_unavailable.
    """
    deps = call.deps
    if not TTL_MIN <= body.ttl <= TTL_MAX:
        raise ClarionError(
            "invalid_value",
            f"ttl must lie between {TTL_MIN:g} and {TTL_MAX:g} seconds",
            field="ttl",
            hint="use a time within these bounds; you can create another token at any time",
        )
    if not 1 <= body.uses <= USES_MAX:
        raise ClarionError(
            "invalid_value",
            f"uses must lie between 1 and {USES_MAX}",
            field="uses",
            hint="create several tokens for more hosts",
        )
    check_labels(body.labels, deps.limits)
    try:
        networks = approval.networks(body.networks)
    except ValueError as error:
        raise ClarionError(
            "invalid_value", f"networks: {error}", field="networks", hint="write CIDR blocks such as 10.1.0.0/16"
        ) from None
    await call.context.wait_for_writer()
    now = deps.clock.now().wall_ms
    token = make(Kind.JOIN, deps.entropy)
    kept = JoinToken(
        token.id,
        token.digest,
        now + round(body.ttl * 1000),
        body.uses,
        dict(body.labels),
        call.by,
        now,
        networks,
        body.approve,
        body.replace,
    )
    await call.context.run_to_completion(lambda: deps.commits.commit([CreateJoinToken(kept)]))
    return kept, token.text


async def delete_join_token(call: ApiRequest, token_id: str) -> None:
    """Delete a join token. Hosts that have joined with it stay.

    Raises:
        ClarionError: join_token_not_found or store_unavailable.
    """
    if await call.deps.store.join_token(token_id) is None:
        raise ClarionError("join_token_not_found")
    await call.context.run_to_completion(lambda: call.deps.commits.commit([DeleteJoinToken(token_id)]))


async def decide_join_request(call: ApiRequest, request_id: str, *, approved: bool) -> JoinRequest:
    """Approve or deny a join request.

    Returns:
        The decided request.

    Raises:
        ClarionError: join_request_not_found or store_unavailable.
    """
    deps = call.deps
    now = deps.clock.now().wall_ms
    if deps.join_requests.get(request_id, now) is None:
        raise ClarionError("join_request_not_found")

    async def write() -> None:
        async with call.context.host_lock:
            old = deps.join_requests.get(request_id, now)
            if old is None:
                raise ClarionError("join_request_not_found")
            new = replace(old, decided_at=now, decided_by=call.by, approved=approved)
            # A denial holds at once. An approval holds only after its commit.
            if not approved:
                deps.join_requests.put(new)
            await deps.commits.commit([SaveJoinRequest(new)])
            deps.join_requests.put(new)
            log.warning(
                "join_request_decided", request_id=request_id, state=new.state, hostname=new.hostname, by=call.by
            )

    await call.context.run_to_completion(write)
    found = deps.join_requests.get(request_id, now)
    if found is None:
        raise ClarionError("join_request_not_found")
    return found
