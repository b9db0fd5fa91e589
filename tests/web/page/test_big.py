"""A task's page with ten thousand hosts while they answer. Sizes are checked; times are printed."""

from __future__ import annotations

import time

import pytest
import trio
from playwright.sync_api import Browser, Page, expect

from server.core.effects import SaveHost
from server.core.model import Host
from tests.web.browser import LONG, Received, browse, served, sign_in
from tests.web.world import World


@pytest.mark.browser
async def test_the_map_of_ten_thousand_hosts_transfers_less_than_a_megabyte_while_they_answer(
    world: World, nursery: trio.Nursery
) -> None:
    address = await served(world, nursery)
    hosts = [
        Host(f"01900000-0000-7000-8001-{index:012d}", f"node-{index:04}", created_at=1, updated_at=1)
        for index in range(10_000)
    ]
    await world.writer.commit([SaveHost(host) for host in hosts])
    for host in hosts:
        world.fleet.put(host)
        world.ids[host.hostname] = host.host_id
    names = [host.hostname for host in hosts]
    world.connect(*names)
    task = await world.run("node-*", name="big")

    async def answer() -> None:
        for index, name in enumerate(names):
            world.report(
                task, name, code=3 if index % 7 == 0 else 0, stdout=b"rare\n" if index % 50 == 0 else b"common\n"
            )
            if index % 250 == 0:
                await trio.sleep(0.05)

    def script(page: Page, browser: Browser) -> None:
        sign_in(page)
        page.add_init_script(LONG)
        sizes = Received(page)
        started = time.monotonic()
        page.goto(f"/tasks/{task['task_id']}")
        expect(page.locator("#map-here")).to_contain_text("node-0000")
        shown, first = time.monotonic() - started, sizes.total
        came = page.evaluate(
            "performance.getEntriesByType('resource').map(one => one.name).filter(name => /[.]js(on)?$/.test(name))"
        )
        named = page.evaluate("[...document.querySelectorAll('link[rel$=preload]')].map(one => one.href)")
        assert sorted(came) == sorted(named), (
            "the shell names every module and text of its page, each is asked for once, and none in vain"
        )
        page.evaluate("longs.length = 0")
        trio.from_thread.run_sync(nursery.start_soon, answer)
        expect(page.locator("[data-status=failed]")).to_be_visible()
        expect(page.locator("[data-count=failed]")).to_contain_text("1,429")
        received = sizes.total
        print(
            f"shown after {shown:.2f} s with {first} bytes; {received} bytes in all; long tasks while updates "
            f"came: {page.evaluate('longs')} ms"
        )
        assert received <= 1_000_000
        assert page.locator("body *").count() < 1_000

    assert await trio.to_thread.run_sync(browse, script, address) == []
    world.shutdown.set()
