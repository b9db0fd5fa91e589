"""Join tokens: make, list, delete."""

from __future__ import annotations

from server.core.effects import CreateJoinToken, DeleteJoinToken
from server.core.model import JoinToken
from server.errors import ClarionError
from server.security.tokens import Kind, make
from server.web.bodies import JoinTokenBody
from server.web.call import API, Call, Reply
from server.web.hosts import check_labels, check_number
from server.web.views import JoinTokenCreated, JoinTokenPage, JoinTokenView

TTL_MIN, TTL_MAX = 10.0, 30 * 86_400.0
USES_MAX = 100_000


async def create_join_token(call: Call) -> Reply:
    """Make a join token.

    Its text is in this answer and nowhere else: only its SHA-256 is kept.
    """
    body, deps = call.body, call.deps
    assert isinstance(body, JoinTokenBody)
    if not TTL_MIN <= body.ttl <= TTL_MAX:
        raise ClarionError("invalid_value", f"ttl must lie between {TTL_MIN:g} and {TTL_MAX:g} seconds", field="ttl")
    if not 1 <= body.uses <= USES_MAX:
        raise ClarionError("invalid_value", f"uses must lie between 1 and {USES_MAX}", field="uses")
    check_labels(body.labels, deps.limits)
    check_number(body.labels, deps.limits)
    call.desk.take_new_work()
    now = deps.clock.now().wall_ms
    token = make(Kind.JOIN, deps.entropy)
    kept = JoinToken(token.id, token.digest, now + round(body.ttl * 1000), body.uses, dict(body.labels), call.by, now)
    await call.desk.safely(lambda: deps.commits.commit([CreateJoinToken(kept)]))
    address = deps.enrolment.address
    shown = JoinTokenCreated(
        **_fields(kept), token=token.text, ca_pin=deps.ca_pin, enrol_host=address[0] if address else None, enrol_port=address[1] if address else None
    )
    return Reply(shown, 201, {"Location": f"{API}/join-tokens/{kept.token_id}"})


async def list_join_tokens(call: Call) -> Reply:
    """List join tokens.

    By id, those out of date and used up included. Their texts are not known.
    """
    limits = call.deps.limits
    limit = call.query.integer("limit", min(limits.page_size, limits.page_size_max), 1, limits.page_size_max)
    found = await call.deps.store.join_tokens(after=call.query.text("after"), limit=limit + 1)
    page = found[:limit]
    return Reply(JoinTokenPage(items=[JoinTokenView(**_fields(token)) for token in page], next=page[-1].token_id if len(found) > limit else None))


async def delete_join_token(call: Call, token_id: str) -> Reply:
    """Delete a join token.

    Nobody joins with it any more. Hosts that have joined with it stay.
    """
    if await call.deps.store.join_token(token_id) is None:
        raise ClarionError("join_token_not_found")
    await call.desk.safely(lambda: call.deps.commits.commit([DeleteJoinToken(token_id)]))
    return Reply(None, 204)


def _fields(token: JoinToken) -> dict[str, object]:
    return {
        "token_id": token.token_id,
        "expires_at": token.expires_at,
        "uses_left": token.uses_left,
        "labels": dict(token.labels),
        "created_by": token.created_by,
        "created_at": token.created_at,
    }
