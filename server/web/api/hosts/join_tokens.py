"""Endpoints of join tokens and join requests."""

from __future__ import annotations

from typing import Any

from server.core.model import JoinRequest, JoinToken
from server.web.http.paging import page_limit
from server.web.http.route import API
from server.web.request import ApiRequest, ApiResponse
from server.web.schemas.joining import (
    JoinRequestPage,
    JoinRequestView,
    JoinTokenCreated,
    JoinTokenPage,
    JoinTokenView,
)
from server.web.schemas.requests import JoinTokenBody
from server.web.service import joining


async def create_join_token(call: ApiRequest) -> ApiResponse:
    """Create a join token.

    Only this response contains the text of the token. The server keeps its SHA-256.
    """
    assert isinstance(call.body, JoinTokenBody)
    token, text = await joining.create_join_token(call, call.body)
    address = call.deps.enrolment.address
    view = JoinTokenCreated(
        **_fields(token),
        token=text,
        ca_pin=call.deps.ca_pin,
        enrol_host=address[0] if address else None,
        enrol_port=address[1] if address else None,
    )
    return ApiResponse(view, 201, {"Location": f"{API}/join-tokens/{token.token_id}"})


async def list_join_tokens(call: ApiRequest) -> ApiResponse:
    """List join tokens.

    Sorted by id. The list includes expired and used tokens, and never their texts.
    """
    limit = page_limit(call.query, call.deps.limits)
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

    No more hosts can join with it. Hosts that have joined with it stay.
    """
    await joining.delete_join_token(call, token_id)
    return ApiResponse(None, 204)


async def list_join_requests(call: ApiRequest) -> ApiResponse:
    """List join requests.

    Sorted by id. The list includes denied requests, and approved requests whose host has not asked since. It does not
    include expired requests.
    """
    after = call.query.text("after") or ""
    limit = page_limit(call.query, call.deps.limits)
    requests = call.deps.join_requests.all(call.deps.clock.now().wall_ms)
    found = [one for one in requests if one.request_id > after][: limit + 1]
    page = found[:limit]
    return ApiResponse(
        JoinRequestPage(
            items=[_request_view(one) for one in page], next=page[-1].request_id if len(found) > limit else None
        )
    )


async def approve_join_request(call: ApiRequest, request_id: str) -> ApiResponse:
    """Approve a join request.

    The host receives its certificate when it asks next, within a minute. Its token must have a use left at that time.
    """
    return ApiResponse(_request_view(await joining.decide_join_request(call, request_id, approved=True)))


async def deny_join_request(call: ApiRequest, request_id: str) -> ApiResponse:
    """Deny a join request.

    The host learns this when it asks next, and stops asking. A denial also withdraws an approval that the host has not
    used yet.
    """
    return ApiResponse(_request_view(await joining.decide_join_request(call, request_id, approved=False)))


def _request_view(one: JoinRequest) -> JoinRequestView:
    return JoinRequestView(
        request_id=one.request_id,
        state=one.state,
        hostname=one.hostname,
        address=one.address,
        previous_host_id=one.previous_host_id or None,
        token_id=one.token_id,
        created_at=one.created_at,
        expires_at=one.expires_at,
        decided_at=one.decided_at,
        decided_by=one.decided_by,
    )


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
