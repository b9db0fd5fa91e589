"""Join tokens: make, list, delete."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import structlog

from server.core.effects import CreateJoinToken, DeleteJoinToken, SaveJoinRequest
from server.core.model import JoinRequest, JoinToken
from server.errors import ClarionError
from server.security import approval
from server.security.tokens import Kind, make
from server.web.api.hosts.hosts import check_labels, check_number
from server.web.request import API, ApiRequest, ApiResponse
from server.web.schemas.requests import JoinTokenBody
from server.web.schemas.responses import (
    JoinRequestPage,
    JoinRequestView,
    JoinTokenCreated,
    JoinTokenPage,
    JoinTokenView,
)

log = structlog.get_logger("server.web.api.hosts.join_tokens")

TTL_MIN, TTL_MAX = 10.0, 30 * 86_400.0
USES_MAX = 100_000


async def create_join_token(call: ApiRequest) -> ApiResponse:
    """Make a join token.

    Its text is in this answer and nowhere else: only its SHA-256 is kept.
    """
    body, deps = call.body, call.deps
    assert isinstance(body, JoinTokenBody)
    if not TTL_MIN <= body.ttl <= TTL_MAX:
        raise ClarionError(
            "invalid_value",
            f"ttl must lie between {TTL_MIN:g} and {TTL_MAX:g} seconds",
            field="ttl",
            hint="use a time within these bounds; a token can be made again at any time",
        )
    if not 1 <= body.uses <= USES_MAX:
        raise ClarionError(
            "invalid_value",
            f"uses must lie between 1 and {USES_MAX}",
            field="uses",
            hint="make several tokens for more hosts",
        )
    check_labels(body.labels, deps.limits)
    check_number(body.labels, deps.limits)
    try:
        networks = approval.networks(body.networks)
    except ValueError as error:
        raise ClarionError(
            "invalid_value", f"networks: {error}", field="networks", hint="write CIDR blocks such as 10.1.0.0/16"
        ) from None
    await call.desk.room()
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
    await call.desk.run_to_completion(lambda: deps.commits.commit([CreateJoinToken(kept)]))
    address = deps.enrolment.address
    shown = JoinTokenCreated(
        **_fields(kept),
        token=token.text,
        ca_pin=deps.ca_pin,
        enrol_host=address[0] if address else None,
        enrol_port=address[1] if address else None,
    )
    return ApiResponse(shown, 201, {"Location": f"{API}/join-tokens/{kept.token_id}"})


async def list_join_tokens(call: ApiRequest) -> ApiResponse:
    """List join tokens.

    By id, those out of date and used up included. Their texts are not known.
    """
    limits = call.deps.limits
    limit = call.query.integer(
        "limit", min(limits.page_size, limits.page_size_max), 1, limits.page_size_max, "http.page_size_max"
    )
    found = await call.deps.store.join_tokens(after=call.query.text("after"), limit=limit + 1)
    page = found[:limit]
    return ApiResponse(
        JoinTokenPage(
            items=[JoinTokenView(**_fields(token)) for token in page],
            next=page[-1].token_id if len(found) > limit else None,
        )
    )


async def delete_join_token(call: ApiRequest, token_id: str) -> ApiResponse:
    """Delete a join token.

    Nobody joins with it any more. Hosts that have joined with it stay.
    """
    if await call.deps.store.join_token(token_id) is None:
        raise ClarionError("join_token_not_found")
    await call.desk.run_to_completion(lambda: call.deps.commits.commit([DeleteJoinToken(token_id)]))
    return ApiResponse(None, 204)


async def list_join_requests(call: ApiRequest) -> ApiResponse:
    """List joins that wait for approval.

    By id; those that were approved and have not asked since, and those denied, included. What is out of date is left
    out.
    """
    limits, after = call.deps.limits, call.query.text("after") or ""
    limit = call.query.integer(
        "limit", min(limits.page_size, limits.page_size_max), 1, limits.page_size_max, "http.page_size_max"
    )
    found = [one for one in call.deps.requests.all(call.deps.clock.now().wall_ms) if one.request_id > after][
        : limit + 1
    ]
    page = found[:limit]
    return ApiResponse(
        JoinRequestPage(items=[_request(one) for one in page], next=page[-1].request_id if len(found) > limit else None)
    )


async def approve_join_request(call: ApiRequest, request_id: str) -> ApiResponse:
    """Approve a join.

    The host gets its certificate when it asks next, within a minute. Its token must have a use left then.
    """
    return await _decide(call, request_id, approved=True)


async def deny_join_request(call: ApiRequest, request_id: str) -> ApiResponse:
    """Deny a join.

    The host is told so when it asks next, and gives up. Also takes an approval back that the host has not used yet.
    """
    return await _decide(call, request_id, approved=False)


async def _decide(call: ApiRequest, request_id: str, *, approved: bool) -> ApiResponse:
    deps = call.deps
    now = deps.clock.now().wall_ms
    if deps.requests.get(request_id, now) is None:
        raise ClarionError("join_request_not_found")

    async def write() -> None:
        async with call.desk.hosts:
            old = deps.requests.get(request_id, now)
            if old is None:
                raise ClarionError("join_request_not_found")
            new = replace(old, decided_at=now, decided_by=call.by, approved=approved)
            # A host is let in only by what is committed; it is kept out at once.
            if not approved:
                deps.requests.put(new)
            await deps.commits.commit([SaveJoinRequest(new)])
            deps.requests.put(new)
            log.warning(f"join {new.state}", request_id=request_id, hostname=new.hostname, by=call.by)

    await call.desk.run_to_completion(write)
    found = deps.requests.get(request_id, now)
    if found is None:
        raise ClarionError("join_request_not_found")
    return ApiResponse(_request(found))


def _request(one: JoinRequest) -> JoinRequestView:
    return JoinRequestView(
        request_id=one.request_id, state=one.state, hostname=one.hostname, address=one.address, previous_host_id=one.previous_host_id or None,  # noqa: E501
        token_id=one.token_id, created_at=one.created_at, expires_at=one.expires_at, decided_at=one.decided_at, decided_by=one.decided_by,  # noqa: E501
    )  # fmt: skip


def _fields(token: JoinToken) -> dict[str, Any]:
    return {
        "token_id": token.token_id,
        "expires_at": token.expires_at,
        "uses_left": token.uses_left,
        "labels": dict(token.labels),
        "networks": list(token.networks),
        "approve": token.approve,
        "replace": token.replace,
        "created_by": token.created_by,
        "created_at": token.created_at,
    }
