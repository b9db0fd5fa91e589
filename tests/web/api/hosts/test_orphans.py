"""GET and DELETE /orphans: executions that hosts know and the database has lost."""

from __future__ import annotations

from server.core.effects import SaveLate, SaveOrphan
from tests.store.make import new_id, output
from tests.web.world import World

PATH = "/api/v1/orphans"


async def test_orphans_are_listed_in_pages(world: World) -> None:
    host, other = sorted(new_id() for _ in range(2))
    lost = sorted(new_id() for _ in range(3))
    said = output("what it said: ü".encode())
    report = {
        "attempt": 1,
        "outcome": "completed",
        "exit_code": 0,
        "stdout_id": said.output_id.hex(),
        "stderr_id": None,
    }
    await world.writer.commit([SaveOrphan(host, command, 1, 30, 7, 3) for command in lost])
    await world.writer.commit(
        [SaveLate(host, lost[0], 1, 50, 40, report, (said,)), SaveOrphan(other, lost[0], 2, 31, 8, 2)]
    )
    page = (await world.get(f"{PATH}?limit=3")).json
    assert [item["command_id"] for item in page["items"]] == lost
    assert page["items"][0] == {
        "host_id": host, "command_id": lost[0], "attempt": 1, "received_at": 50, "seq": 7, "stage": "ended",
        "report": {"attempt": 1, "outcome": "completed", "exit_code": 0}, "stdout": "what it said: ü", "stderr": None,
    }  # fmt: skip
    assert page["items"][1]["report"] is None and page["items"][1]["stdout"] is None
    rest = (await world.get(f"{PATH}?limit=3&after={page['next']}")).json
    assert [(item["host_id"], item["stage"], item["attempt"]) for item in rest["items"]] == [
        (other, "running", 2)
    ] and rest["next"] is None
    assert [item["host_id"] for item in (await world.get(f"{PATH}?host={other}")).json["items"]] == [other]


async def test_orphans_of_one_host_are_deleted(world: World) -> None:
    host, other = new_id(), new_id()
    await world.writer.commit([SaveOrphan(one, new_id(), 1, 30, 7, 3) for one in (host, other)])
    assert (await world.call("DELETE", f"{PATH}/{host}")).status == 204
    assert [item["host_id"] for item in (await world.get(PATH)).json["items"]] == [other]
    for name in (host, new_id(), "web-1", "%00", "*"):
        assert (await world.call("DELETE", f"{PATH}/{name}")).json["error"]["code"] == "orphans_not_found"


async def test_wrong_parameters_are_refused_by_name(world: World) -> None:
    for query, field in (
        ("after=x", "after"),
        ("after=a/b/c", "after"),
        (f"after={new_id()}/{new_id()}/99999", "after"),
        ("host=web-1", "host"),
        ("limit=0", "limit"),
    ):
        answer = await world.get(f"{PATH}?{query}")
        assert (answer.status, answer.json["error"]["field"]) == (422, field), answer.json
