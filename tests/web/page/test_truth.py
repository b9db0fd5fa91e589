"""The page shows the current state despite other tabs, wrong clocks, proxies and resized windows."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from playwright.sync_api import Browser, Page, Route, expect

from tests.web.browser import browse, served, sign_in
from tests.web.world import ADMIN, World

AHEAD = "const real = Date.now; Date.now = () => real.call(Date) + 3600000;"
LOGIN = (
    "token => fetch('/api/v1/session', {method: 'POST', headers: {'Content-Type': 'application/json'}, body: "
    "JSON.stringify({token})})"
)
CELL = "([x, y]) => [...document.querySelector('.map canvas').getContext('2d').getImageData(x, y, 1, 1).data].join()"


@pytest.mark.browser
async def test_a_plan_is_shown_only_for_the_current_hosts(world: World, nursery: trio.Nursery) -> None:
    address = await served(world, nursery)

    def script(page: Page, browser: Browser) -> None:
        sign_in(page)
        page.goto("/new")
        page.locator("#text").fill("true")
        page.locator("#targets").fill("web-1")
        expect(page.locator("#preview")).to_contain_text("1 host")
        held: list[Route] = []
        page.route("**/api/v1/hosts/select", lambda route: held.append(route))
        page.locator("#targets").fill("web-1, web-2")
        page.get_by_role("button", name="Show the plan").click()
        page.wait_for_timeout(400)
        expect(page.locator(".plan")).to_have_count(0)
        expect(page.get_by_role("button", name="Run now")).to_have_count(0)
        for route in held:
            route.continue_()
        expect(page.locator(".plan")).to_contain_text("Runs on 2 hosts.")
        expect(page.get_by_role("button", name="Run now")).to_be_visible()

    assert await trio.to_thread.run_sync(browse, script, address) == []
    world.shutdown.set()


@pytest.mark.browser
async def test_another_login_a_proxy_error_and_a_fast_clock_do_not_mislead(world: World, nursery: trio.Nursery) -> None:
    address = await served(world, nursery)
    world.connect("web-1")
    task = await world.run("web-1", name="first")

    def script(page: Page, browser: Browser) -> None:
        sign_in(page)
        page.add_init_script(AHEAD)
        page.goto("/tasks")
        expect(page.get_by_role("link", name="first")).to_be_visible()
        trio.from_thread.run(lambda: world.run("web-1", name="second"))
        expect(page.get_by_role("link", name="second")).to_be_visible()
        # a history is updated while it is shown
        page.goto(f"/hosts/{world.ids['web-1']}")
        row = page.locator("tbody tr", has_text="first")
        expect(row.locator(".s-completed")).to_have_count(0)
        trio.from_thread.run_sync(lambda: world.report(task, "web-1"))
        expect(row.locator(".s-completed")).to_be_visible()
        page.goto("/hosts/web-1")
        page.locator("#label").fill("env=test")
        page.keyboard.press("Enter")
        expect(page.locator(".chips")).to_contain_text("env=test")
        # another tab logs in again: this tab's next change succeeds
        page.evaluate(LOGIN, ADMIN.text)
        page.locator("#label").fill("role=web")
        page.keyboard.press("Enter")
        expect(page.locator(".chips")).to_contain_text("role=web")
        # a proxy sends a response in its own format
        page.route(
            "**/api/v1/hosts/*",
            lambda route: route.fulfill(status=502, content_type="text/html", body="<h1>Bad Gateway</h1>"),
        )
        page.locator("#label").fill("x=y")
        page.keyboard.press("Enter")
        expect(page.locator("#label-wrong")).to_contain_text("the request may still have been carried out")

    complaints = await trio.to_thread.run_sync(browse, script, address)
    assert all("Failed to load resource" in line for line in complaints), complaints
    world.shutdown.set()


@pytest.mark.browser
async def test_a_selection_on_the_map_stays_visible_when_the_window_is_resized(
    world: World, nursery: trio.Nursery
) -> None:
    address = await served(world, nursery)
    names = [f"node-{index:03}" for index in range(90)]
    await world.know(*names)
    world.connect(*names)
    task = await world.run("node-*")
    for name in names:
        world.report(task, name)

    def script(page: Page, browser: Browser) -> None:
        sign_in(page)
        page.goto(f"/tasks/{task['task_id']}")
        expect(page.locator("[data-status=completed]")).to_be_visible()
        expect(page.locator("#map-here")).to_contain_text("node-000")

        def corner() -> Any:
            """The corner of the first cell, where a selected cell has its frame."""
            return page.evaluate(CELL, [0, 0])

        page.wait_for_function(f"({CELL})([0, 0]) !== '0,0,0,0'")
        plain = corner()
        page.locator(".map canvas").focus()
        page.keyboard.press(" ")
        page.keyboard.press("End")
        expect(page.get_by_text("1 host chosen")).to_be_visible()
        page.wait_for_function(f"plain => ({CELL})([0, 0]) !== plain", arg=plain)
        chosen = corner()
        page.set_viewport_size({"width": 700, "height": 860})
        page.wait_for_timeout(300)
        assert corner() == chosen

    assert await trio.to_thread.run_sync(browse, script, address) == []
    world.shutdown.set()


@pytest.mark.browser
async def test_differences_and_the_pictures_of_help_are_readable_on_a_phone(
    world: World, nursery: trio.Nursery
) -> None:
    address = await served(world, nursery)
    world.connect("web-1", "web-2")
    task = await world.run("web-1", "web-2")
    world.report(task, "web-1", 0, b"same\n  one\n")
    world.report(task, "web-2", 0, b"same\n  other\n")

    def script(page: Page, browser: Browser) -> None:
        sign_in(page)
        page.goto(f"/tasks/{task['task_id']}")
        expect(page.locator("[data-group]")).to_have_count(2)
        page.get_by_role("button", name="Difference from the largest").click()
        place, same, *differ = page.locator(".diff").inner_text().splitlines()
        assert (place, same) == ("@@ -1,2 +1,2 @@", " same")
        assert differ in (["-  one", "+  other"], ["-  other", "+  one"])
        page.set_viewport_size({"width": 390, "height": 844})
        page.goto("/help")
        page.locator(".scroll svg text").first.wait_for()
        shrunk = page.evaluate(
            "[...document.querySelectorAll('.scroll svg')].map(one => [one.getBoundingClientRect().width, "
            "one.viewBox.baseVal.width])"
        )
        assert len(shrunk) == 2 and all(drawn == meant for drawn, meant in shrunk), shrunk

    assert await trio.to_thread.run_sync(browse, script, address) == []
    world.shutdown.set()
