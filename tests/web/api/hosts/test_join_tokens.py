"""Join tokens, revocation and release over REST."""

from __future__ import annotations

from hashlib import sha256

import pytest

from server.core.model import HostIdentity, JoinRequest
from tests.web.world import World

TOKENS = "/api/v1/join-tokens"


async def test_a_token_is_shown_once_and_kept_as_a_hash(world: World) -> None:
    made = await world.post(TOKENS, {"ttl": 60, "uses": 2, "labels": {"env": "prod"}})
    assert made.status == 201 and made.json["token"].startswith(f"jt_{made.json['token_id']}_")
    kept = await world.store.join_token(made.json["token_id"])
    assert kept is not None and kept.digest == sha256(made.json["token"].encode()).digest()
    assert (kept.uses_left, kept.labels, kept.created_by, kept.expires_at - kept.created_at) == (
        2,
        {"env": "prod"},
        "admin",
        60_000,
    )
    listed = await world.get(TOKENS)
    assert [one["token_id"] for one in listed.json["items"]] == [kept.token_id] and b'"token"' not in listed.data


@pytest.mark.parametrize(
    ("field", "value", "status"),
    [
        *(("ttl", 9.9, 422), ("ttl", 10, 201), ("ttl", 30 * 86_400, 201), ("ttl", 30 * 86_400 + 1, 422)),
        *(("uses", 0, 422), ("uses", 1, 201), ("uses", 100_000, 201), ("uses", 100_001, 422)),
        *(
            ("labels", {f"k{n}": "v" for n in range(64)}, 201),
            ("labels", {f"k{n}": "v" for n in range(65)}, 422),
            ("labels", {"-": "v"}, 422),
            ("labels", {"k": "v" * 257}, 422),
        ),
        *(
            ("networks", [f"10.{n}.0.0/16" for n in range(16)], 201),
            ("networks", [f"10.{n}.0.0/16" for n in range(17)], 422),
        ),
        *(
            ("networks", ["10.0.0.1/8"], 422),
            ("networks", ["example.org"], 422),
            ("networks", ["2001:db8::/32", "10.0.0.1"], 201),
        ),
    ],
)
async def test_limits_of_a_token(world: World, field: str, value: object, status: int) -> None:
    assert (await world.post(TOKENS, {field: value})).status == status


async def test_tokens_are_paged_and_deleted(world: World) -> None:
    ids = sorted([(await world.post(TOKENS, {})).json["token_id"] for _ in range(3)])
    first = (await world.get(f"{TOKENS}?limit=2")).json
    second = (await world.get(f"{TOKENS}?limit=2&after={first['next']}")).json
    assert [one["token_id"] for one in first["items"] + second["items"]] == ids and second["next"] is None
    assert (await world.call("DELETE", f"{TOKENS}/{ids[0]}")).status == 204
    assert (await world.call("DELETE", f"{TOKENS}/{ids[0]}")).error["code"] == "join_token_not_found"


async def test_revoking_ends_the_session_and_is_committed(world: World) -> None:
    world.deps.identities.put(HostIdentity(world.ids["web-1"], 4, 1, "s", 9, 8, "t"))
    answer = await world.post("/api/v1/hosts/web-1/revoke")
    assert (
        answer.status == 200
        and answer.json["identity"]["state"] == "revoked"
        and answer.json["identity"]["revoked_by"] == "admin"
    )
    assert world.sessions["web-1"].ended == "revoked"
    (kept,) = await world.store.identities()
    assert kept == world.deps.identities.get(world.ids["web-1"]) and kept.state == "revoked"
    assert (await world.post("/api/v1/hosts/web-1/revoke")).json["identity"] == answer.json["identity"], (
        "twice changes nothing"
    )
    released = await world.post("/api/v1/hosts/web-1/release")
    assert released.json["identity"]["state"] == "released" and released.json["identity"]["revoked_at"] is None


async def test_deleting_a_host_deletes_its_identity(world: World) -> None:
    world.deps.identities.put(HostIdentity(world.ids["db-1"], 1, 1, "s", 9, 8, "t"))
    await world.post("/api/v1/hosts/db-1/revoke")
    assert (await world.call("DELETE", "/api/v1/hosts/db-1")).status == 204
    assert await world.store.identities() == [] and world.deps.identities.get(world.ids["db-1"]) is None


async def wait_for(world: World, number: int, expires_in: int = 60_000) -> str:
    now = world.deps.clock.now().wall_ms
    world.deps.join_requests.put(
        JoinRequest(f"{number:032x}", "abcDEF12", b"csr", f"new-{number}", "", "10.0.0.7", now, now + expires_in)
    )
    return f"{number:032x}"


async def test_join_requests_are_listed_in_pages_without_expired_ones(world: World) -> None:
    ids = [await wait_for(world, number) for number in range(3)]
    await wait_for(world, 9, expires_in=0)
    first = (await world.get("/api/v1/join-requests?limit=2")).json
    second = (await world.get(f"/api/v1/join-requests?limit=2&after={first['next']}")).json
    assert [one["request_id"] for one in first["items"] + second["items"]] == ids and second["next"] is None
    assert (first["items"][0]["state"], first["items"][0]["address"], first["items"][0]["previous_host_id"]) == (
        "pending",
        "10.0.0.7",
        None,
    )


async def test_a_join_is_approved_or_denied_and_the_decision_is_committed(world: World) -> None:
    waiting = await wait_for(world, 1)
    for verb, state in (("approve", "approved"), ("deny", "denied"), ("approve", "approved")):
        answer = await world.post(f"/api/v1/join-requests/{waiting}/{verb}")
        assert answer.status == 200 and (answer.json["state"], answer.json["decided_by"]) == (state, "admin")
        assert [one.state for one in await world.store.join_requests()] == [state]
    gone = await wait_for(world, 2, expires_in=0)
    assert (await world.post(f"/api/v1/join-requests/{gone}/approve")).error["code"] == "join_request_not_found"
