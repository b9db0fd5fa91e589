"""ETags, 304 and gzip: unchanged responses are not sent again, large ones are compressed, secrets never are."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import trio
import trio.testing

from server.web.http.encoding import Encoder
from server.web.http.limits import Limits
from tests.web.world import AUTH, World, log_in, open_world

ZIP = {"Accept-Encoding": "gzip"}


@pytest.fixture
async def busy(world: World) -> World:
    await world.know(*(f"host-{number:04d}" for number in range(300)))
    return world


@pytest.mark.parametrize("path", ["/api/v1/hosts?limit=500", "/openapi.json", "/metrics", "/"])
async def test_a_large_answer_is_compressed_for_a_client_that_accepts_it(busy: World, path: str) -> None:
    object.__setattr__(busy.deps.limits, "compress_above", 1)
    plain, zipped = await busy.get(path), await busy.get(path, headers=ZIP)
    assert "Content-Encoding" not in plain.headers and "Accept-Encoding" in plain.headers["Vary"]
    if len(plain.data) < busy.deps.limits.compress_above:
        return
    if "Content-Encoding" in zipped.headers:
        assert zipped.headers["Content-Encoding"] == "gzip" and len(zipped.data) < len(plain.data) / 2
        assert int(zipped.headers["Content-Length"]) == len(zipped.data)
        if path != "/metrics":
            assert gzip.decompress(zipped.data) == plain.data and zipped.headers["ETag"] == plain.headers["ETag"]
    else:
        assert len(plain.data) < 8 << 10


@pytest.mark.parametrize("accepts", ["", "identity", "br", "gzip;q=0", "deflate, br", "*;q=0"])
async def test_clients_without_gzip_get_the_plain_response(busy: World, accepts: str) -> None:
    answer = await busy.get("/api/v1/hosts?limit=500", headers={"Accept-Encoding": accepts})
    assert "Content-Encoding" not in answer.headers and len(answer.json["items"]) == 303


@pytest.mark.parametrize("accepts", ["gzip", "deflate, gzip;q=0.5", "*", "GZIP"])
async def test_all_forms_of_accept_encoding_are_understood(busy: World, accepts: str) -> None:
    answer = await busy.get("/api/v1/hosts?limit=500", headers={"Accept-Encoding": accepts})
    assert answer.headers["Content-Encoding"] == "gzip"


async def test_an_unchanged_response_is_304(busy: World) -> None:
    first = await busy.get("/api/v1/hosts?limit=500", headers=ZIP)
    tag = first.headers["ETag"]
    for header in (tag, tag.removeprefix("W/"), f'"x", {tag}', "*"):
        again = await busy.get("/api/v1/hosts?limit=500", headers={"If-None-Match": header})
        assert (again.status, again.data, again.headers["ETag"]) == (304, b"", tag)
        assert "Content-Encoding" not in again.headers and again.headers["X-Request-Id"]
    assert (await busy.get("/api/v1/hosts?limit=500", headers={"If-None-Match": '"x"'})).status == 200
    await busy.know("another")
    changed = await busy.get("/api/v1/hosts?limit=500", headers={"If-None-Match": tag})
    assert changed.status == 200 and changed.headers["ETag"] != tag


async def test_an_etag_from_the_handler_is_used(world: World) -> None:
    task = await world.run("web-1")
    states = await world.get(f"/api/v1/tasks/{task['task_id']}/states")
    again = await world.get(
        f"/api/v1/tasks/{task['task_id']}/states", headers={"If-None-Match": states.headers["ETag"]}
    )
    assert (again.status, again.data) == (304, b"")


async def test_errors_and_writes_have_no_etag_and_a_secret_is_never_compressed(world: World) -> None:
    object.__setattr__(world.deps.limits, "compress_above", 1)
    assert "ETag" not in (await world.get("/api/v1/tasks/x", headers=ZIP)).headers
    made = await world.post("/api/v1/join-tokens", {}, headers=ZIP)
    assert made.status == 201 and "ETag" not in made.headers and "Content-Encoding" not in made.headers
    await log_in(world)
    session = await world.get("/api/v1/session", token=False, headers=ZIP)
    assert session.json["csrf"] and "Content-Encoding" not in session.headers


async def test_zero_never_compresses(tmp_path: Path, nursery: trio.Nursery) -> None:
    world = await open_world(tmp_path, nursery, Limits(compress_above=0))
    answer = await world.get("/openapi.json", headers=ZIP)
    assert "Content-Encoding" not in answer.headers and len(answer.data) > 100_000
    await world.aclose()


async def test_responses_are_not_compressed_while_all_threads_are_busy() -> None:
    encoder = Encoder(1)
    data = b"x" * 100_000
    zipped, tag = await encoder._work(data, True, True)
    assert zipped is not None and tag is not None
    for _ in range(2):
        encoder._threads.acquire_on_behalf_of_nowait(object())

    async def release() -> None:
        await trio.testing.wait_all_tasks_blocked()
        encoder._threads.total_tokens = 4

    async with trio.open_nursery() as nursery:
        nursery.start_soon(release)
        assert await encoder._work(data, True, True) == (None, tag)


async def test_head_has_the_headers_of_get_and_no_body(world: World) -> None:
    whole = await world.get("/openapi.json")
    head = await world.client.open("/openapi.json", method="HEAD", headers=AUTH)
    assert (head.status_code, head.headers["ETag"], await head.get_data()) == (200, whole.headers["ETag"], b"")
