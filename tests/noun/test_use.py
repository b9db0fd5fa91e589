"""A noun that is declared and nowhere listed has routes, an OpenAPI description, errors and verbs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import trio
import trio.testing
from click.testing import CliRunner, Result

from proto.common.modules import declared_in
from server.cli.lazy_group import Root
from server.core.effects import SaveRecord
from server.core.records import Records
from server.errors import PROBLEMS, ClarionError, Problem
from server.lifecycle.recovery import load_records
from server.web.readmodel.records import in_memory, known, page
from server.web.resource import Resource
from server.web.routes import ROUTES
from tests.noun.badge.core.badge import Badge, Badges, Stamp
from tests.noun.tables import BADGE_TABLES
from tests.web.browser import served
from tests.web.world import ADMIN, World, open_world

BADGES = "/api/v1/badges"
NOUN_ROUTES = tuple(route for noun in declared_in("tests.noun.badge.web", Resource) for route in noun.routes())


@pytest.fixture
async def world(tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    for problem in declared_in("tests.noun.badge.errors", Problem):
        monkeypatch.setitem(PROBLEMS.all, problem.code, problem)
    made = await open_world(tmp_path, nursery, tables=BADGE_TABLES, routes=(*ROUTES, *NOUN_ROUTES))
    yield made
    await made.aclose()


async def test_the_five_routes_work(world: World) -> None:
    made = await world.post(BADGES, {"code": "a"})
    assert (made.status, made.headers["Location"]) == (201, f"{BADGES}/a")
    assert made.json == {"code": "a", "color": "red", "version": 1}
    for code in "cb":
        await world.post(BADGES, {"code": code})
    first = (await world.get(f"{BADGES}?limit=2")).json
    rest = (await world.get(f"{BADGES}?limit=2&after={first['next']}")).json
    assert [one["code"] for one in first["items"] + rest["items"]] == ["a", "b", "c"] and rest["next"] is None
    changed = await world.call("PATCH", f"{BADGES}/a", {"color": "blue"})
    assert changed.json == {"code": "a", "color": "blue", "version": 2} == (await world.get(f"{BADGES}/a")).json
    assert (await world.call("DELETE", f"{BADGES}/a")).status == 204
    assert (await world.get(f"{BADGES}/a")).error["code"] == "badge_not_found"
    records = Records()
    await load_records(world.store, records, BADGE_TABLES)
    assert [one.code for one in records.of(Badges).all()] == ["b", "c"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", BADGES, {"code": "a"}, 409, "badge_exists"),
        ("POST", BADGES, {}, 422, "missing_field"),
        ("POST", BADGES, {"code": "b", "colour": "x"}, 422, "unknown_field"),
        ("PATCH", f"{BADGES}/b", {"color": "x"}, 404, "badge_not_found"),
        ("DELETE", f"{BADGES}/b", None, 404, "badge_not_found"),
        ("GET", f"{BADGES}/b", None, 404, "badge_not_found"),
        ("GET", f"{BADGES}?limit=0", None, 422, "invalid_value"),
    ],
)
async def test_what_is_refused_changes_nothing(
    world: World, method: str, path: str, body: object, status: int, code: str
) -> None:
    await world.post(BADGES, {"code": "a", "color": "green"})
    refused = await world.call(method, path, body)
    assert (refused.status, refused.error["code"]) == (status, code) and refused.error["hint"]
    listed = (await world.get(BADGES)).json["items"]
    assert listed == [{"code": "a", "color": "green", "version": 1}]


async def test_records_that_are_not_kept_in_memory_are_read_from_the_database(world: World) -> None:
    assert in_memory(world.deps, Stamp) is None and in_memory(world.deps, Badge) is world.deps.records.of(Badges)
    for name in "cab":
        await world.store.write([SaveRecord(Stamp(name, name.encode(), 1))])
    first, following = await page(world.deps, Stamp, "", 2)
    assert ([one.stamp_id for one in first], following) == (["a", "b"], "b")
    last, end = await page(world.deps, Stamp, "b", 2)
    assert ([one.stamp_id for one in last], end) == (["c"], None)
    assert await page(world.deps, Stamp, "c", 2) == ([], None)
    assert await known(world.deps, Stamp, "c", "badge_not_found") == Stamp("c", b"c", 1)
    with pytest.raises(ClarionError, match="badge_not_found"):
        await known(world.deps, Stamp, "d", "badge_not_found")


async def test_two_requests_at_once_create_one_record(world: World, nursery: trio.Nursery) -> None:
    statuses: list[int] = []
    world.store.gate = trio.Event()

    async def post() -> None:
        statuses.append((await world.post(BADGES, {"code": "a"})).status)

    async with trio.open_nursery() as both:
        both.start_soon(post)
        both.start_soon(post)
        await trio.testing.wait_all_tasks_blocked()
        assert statuses == [] and (await world.get(BADGES)).json["items"] == [], "nothing is shown before its commit"
        world.store.gate.set()
    assert sorted(statuses) == [201, 409]


async def test_the_description_has_the_fields_and_their_bounds(world: World) -> None:
    spec = (await world.get("/openapi.json")).json
    routes = {(method, path) for path, methods in spec["paths"].items() for method in methods if "badge" in path}
    one = "/api/v1/badges/{code}"
    assert routes == {(m, BADGES) for m in ("get", "post")} | {(m, one) for m in ("get", "patch", "delete")}
    schemas = spec["components"]["schemas"]
    assert schemas["NewBadgeBody"]["properties"]["code"]["pattern"] == "^[a-z]{1,16}$"
    assert schemas["BadgeBody"]["properties"]["color"]["anyOf"][0]["maxLength"] == world.deps.limits.name_chars
    (parameter,) = spec["paths"][one]["get"]["parameters"]
    assert (parameter["name"], parameter["schema"]["pattern"]) == ("code", "^[a-z]{1,16}$")
    assert spec["paths"][BADGES]["post"]["description"] == "It is red unless the body names a color."
    assert "badge_exists" in spec["paths"][BADGES]["post"]["responses"]["409"]["description"]


async def test_the_verbs_work(world: World, nursery: trio.Nursery) -> None:
    address = await served(world, nursery)
    root = Root("clarion", verbs={}, nouns="tests.noun.badge.cli", callback=lambda: None)
    environment = {"CLARION_SERVER": address, "CLARION_TOKEN": ADMIN.text}

    async def clarion(*words: str) -> Result:
        run: Callable[[], Result] = lambda: CliRunner().invoke(root, words, env=environment)  # noqa: E731
        return await trio.to_thread.run_sync(run)

    listed = (await clarion("--help")).output
    assert "badge-marks  Colored marks under a code." in listed
    assert (await clarion("badge-marks", "create", "a", "--color", "blue")).output.endswith("created a\n")
    assert "blue" in (await clarion("badge-marks", "list")).output
    assert (await clarion("badge-marks", "delete", "a")).output.endswith("deleted a\n")
    missing = await clarion("badge-marks", "delete", "a")
    assert missing.exit_code == 64 and "no badge" in missing.stderr.lower()
    assert "Did you mean 'clarion badge-marks create'?" in (await clarion("badge-marks", "crate")).stderr
    world.shutdown.set()
