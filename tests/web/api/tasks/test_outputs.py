"""Outputs: exact bytes, correct counts, ranges, and media types that no browser executes."""

from __future__ import annotations

import base64
import hashlib

import pytest

from server.core.results.outputs import build_output
from tests.web.world import World

OCTETS = {"Accept": "application/octet-stream"}
NASTY = b"<script>alert(1)</script>\x00\xff\xfe\x1b[31mred\x1b]8;;http://x\x07"


async def ran(world: World, stdout: bytes = NASTY) -> str:
    task = await world.run("web-1", "web-2")
    world.report(task, "web-1", stdout=stdout)
    big = build_output(b"H" * 100, b"T" * 50, 10_000_000_000, hashlib.sha256(b"big").digest())
    assert big is not None
    world.report(task, "web-2", stdout=big)
    await world.conductor.committed()
    return f"/api/v1/tasks/{task['task_id']}/hosts"


async def test_json_gives_text_and_exact_bytes(world: World) -> None:
    path = await ran(world)
    found = (await world.get(f"{path}/web-1/output")).json
    assert base64.b64decode(found["base64"]) == NASTY
    assert found["text"] == NASTY.decode("utf-8", "replace")
    assert (found["total_bytes"], found["head_bytes"], found["tail_bytes"], found["truncated"]) == (
        len(NASTY),
        len(NASTY),
        0,
        False,
    )
    assert (found["sha256"], found["final"]) == (hashlib.sha256(NASTY).hexdigest(), True)


async def test_a_truncated_output_has_a_head_and_a_tail(world: World) -> None:
    path = await ran(world)
    head = (await world.get(f"{path}/{world.ids['web-2']}/output?part=head")).json
    tail = (await world.get(f"{path}/web-2/output?part=tail&offset=10&limit=5")).json
    assert (head["text"], head["truncated"], head["total_bytes"]) == ("H" * 100, True, 10_000_000_000)
    assert (tail["text"], tail["offset"], tail["length"], tail["tail_bytes"]) == ("T" * 5, 10, 5, 50)
    row = (await world.get(f"{path}/web-2")).json
    assert row["stdout"]["truncated"] is True and row["stdout"]["total_bytes"] == 10_000_000_000


async def test_raw_output_is_an_attachment_that_no_browser_executes(world: World) -> None:
    path = await ran(world)
    answer = await world.get(f"{path}/web-1/output", headers=OCTETS)
    assert answer.data == NASTY
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{world.ids["web-1"]}.stdout"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"


@pytest.mark.parametrize(
    ("header", "status", "data", "content_range"),
    [
        ("bytes=0-2", 206, b"012", "bytes 0-2/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=-99", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=10-", 416, None, None),
        ("bytes=5-4", 416, None, None),
        ("bytes=-0", 416, None, None),
        ("bytes=-", 200, b"0123456789", None),
        ("lines=1-2", 200, b"0123456789", None),
        ("bytes=0-1,3-4", 200, b"0123456789", None),
    ],
)
async def test_range_headers(
    world: World, header: str, status: int, data: bytes | None, content_range: str | None
) -> None:
    path = await ran(world, b"0123456789")
    answer = await world.get(f"{path}/web-1/output", headers=OCTETS | {"Range": header})
    assert answer.status == status
    if data is None:
        assert (answer.error["code"], answer.error["field"]) == ("range_not_satisfiable", "Range")
    else:
        assert (answer.data, answer.headers.get("Content-Range")) == (data, content_range)


async def test_offsets_beyond_the_end_are_416_and_a_stream_without_output_is_empty(world: World) -> None:
    path = await ran(world, b"0123456789")
    assert (await world.get(f"{path}/web-1/output?offset=9")).json["text"] == "9"
    outside = await world.get(f"{path}/web-1/output?offset=10")
    assert (outside.status, outside.error["field"]) == (416, "offset")
    silent = (await world.get(f"{path}/web-1/output?stream=stderr")).json
    assert (silent["text"], silent["total_bytes"], silent["sha256"], silent["final"]) == ("", 0, None, True)
    wrong = await world.get(f"{path}/web-1/output?stream=stdin")
    assert (wrong.status, wrong.error["field"]) == (422, "stream")


@pytest.mark.capability("O7")
async def test_hosts_of_a_task_are_paged_and_filtered_by_status(world: World) -> None:
    task = await world.run("all")
    world.report(task, "web-1")
    await world.conductor.committed()
    path = f"/api/v1/tasks/{task['task_id']}/hosts"
    seen, after = [], ""
    for _ in range(3):
        page = (await world.get(f"{path}?limit=1{after}")).json
        seen += [row["hostname"] for row in page["items"]]
        after = f"&after={page['next']}"
    assert (seen, page["next"]) == (["web-1", "web-2", "db-1"], None)
    some = (await world.get(f"{path}?status=completed,dispatch_failed")).json["items"]
    assert [row["status"] for row in some] == ["completed", "dispatch_failed"]
    assert (await world.get(f"{path}?status=compleeted")).error["hint"] == "did you mean completed?"
    assert (await world.get(f"{path}?after=x")).error["field"] == "after"


@pytest.mark.capability("Z4")
async def test_an_offline_host_is_flagged_and_its_result_is_accepted_later(world: World) -> None:
    task = await world.run("web-1")
    world.begin(task, "web-1")
    world.disconnect("web-1")
    await world.conductor.committed()
    path = f"/api/v1/tasks/{task['task_id']}/hosts/web-1"
    row = (await world.get(path)).json
    assert (row["status"], row["unreachable"]) == ("running", True)
    assert (await world.get(f"{path}/output")).json["final"] is False
    world.report(task, "web-1")
    await world.conductor.committed()
    assert (await world.get(path)).json["status"] == "completed"


async def test_a_host_outside_the_task_is_404(world: World) -> None:
    task = await world.run("web-1")
    for name in ("web-2", "nobody", world.ids["db-1"], "all"):
        answer = await world.get(f"/api/v1/tasks/{task['task_id']}/hosts/{name}")
        assert (answer.status, answer.error["code"]) == (404, "execution_not_found")
