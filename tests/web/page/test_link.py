"""The page notices that it is not live after a dead network, a hanging server, a sleeping laptop or the end of the
session, and recovers by itself."""

from __future__ import annotations

import re

import pytest
import trio
from playwright.sync_api import Browser, Page, expect

from tests.web.browser import browse, served, sign_in, violations
from tests.web.page.test_truth import LOGIN
from tests.web.wire import Wire
from tests.web.world import ADMIN, World

BEAT = 0.3
AS_OF = re.compile(r"Not connected, as of (\d\d:\d\d:\d\d)")
GREY = "() => { const one = document.querySelector('.figures'); return one ? getComputedStyle(one).filter : ''; }"


async def wired(world: World, nursery: trio.Nursery) -> tuple[Wire, str]:
    object.__setattr__(world.deps.limits, "event_beat", BEAT)
    wire = Wire(int((await served(world, nursery)).rpartition(":")[2]))
    return wire, f"http://127.0.0.1:{await wire.start(nursery)}"


def quiet(complaints: list[str]) -> bool:
    """True if there are only failed connections and responses that the test provoked."""
    return all("ERR_" in line or "Failed to load resource" in line for line in complaints)


def dead(wire: Wire, yes: bool) -> None:
    trio.from_thread.run_sync(wire.dead, yes)


@pytest.mark.capability("C1")
@pytest.mark.browser
@pytest.mark.parametrize("path", ["/", "/tasks", "/hosts", "/hosts/web-1", "task", "/new", "/help"])
async def test_every_page_says_since_when_it_is_not_live_and_recovers_by_itself(
    world: World, nursery: trio.Nursery, path: str
) -> None:
    wire, address = await wired(world, nursery)
    task = await world.run("web-1", "web-2", name="going on")

    def script(page: Page, browser: Browser) -> None:
        sign_in(page)
        page.goto(f"/tasks/{task['task_id']}" if path == "task" else path)
        expect(page.locator("main h1")).to_be_visible()
        if path == "task":
            expect(page.locator("[data-count=pending], [data-count=dispatched]").first).to_be_visible()
        page.evaluate("window.same = true")
        page.wait_for_timeout(1_000)
        expect(page.locator("#link")).to_be_hidden()
        dead(wire, True)
        expect(page.locator("#link")).to_contain_text(AS_OF, timeout=20_000)
        assert (
            page.evaluate(GREY) in ("", "grayscale(1)") and "stale" in page.evaluate("document.body.className").split()
        )
        assert violations(page) == []
        trio.from_thread.run_sync(lambda: world.report(task, "web-1"))
        dead(wire, False)
        expect(page.locator("#link")).to_be_hidden(timeout=20_000)
        assert "stale" not in page.evaluate("document.body.className").split()
        if path == "task":
            expect(page.locator("[data-count=completed]")).to_contain_text("1")
        assert page.evaluate("window.same"), "it was not loaded anew"

    assert quiet(await trio.to_thread.run_sync(browse, script, address))
    world.shutdown.set()


@pytest.mark.browser
async def test_a_page_that_polls_notices_too_that_it_is_not_live(world: World, nursery: trio.Nursery) -> None:
    object.__setattr__(world.deps.limits, "max_event_streams", 0)
    wire, address = await wired(world, nursery)
    await world.run("web-1", name="first")

    def script(page: Page, browser: Browser) -> None:
        sign_in(page)
        page.goto("/tasks")
        expect(page.get_by_role("link", name="first")).to_be_visible()
        trio.from_thread.run(lambda: world.run("web-1", name="second"))
        expect(page.get_by_role("link", name="second")).to_be_visible()
        page.wait_for_timeout(13_000)
        expect(page.locator("#link")).to_be_hidden()
        dead(wire, True)
        expect(page.locator("#link")).to_contain_text(AS_OF, timeout=30_000)
        expect(page.get_by_role("link", name="second")).to_be_visible()
        dead(wire, False)
        expect(page.locator("#link")).to_be_hidden(timeout=30_000)

    assert quiet(await trio.to_thread.run_sync(browse, script, address))
    world.shutdown.set()


@pytest.mark.browser
async def test_after_sleep_the_page_shows_the_age_of_its_data_and_reconnects(
    world: World, nursery: trio.Nursery
) -> None:
    wire, address = await wired(world, nursery)
    await world.run("web-1", name="before")

    def script(page: Page, browser: Browser) -> None:
        sign_in(page)
        page.goto("/tasks")
        expect(page.get_by_role("link", name="before")).to_be_visible()
        page.wait_for_timeout(1_000)
        # it sleeps: connections die silently, the clock continues, no timer fires
        dead(wire, True)
        page.evaluate("(() => { const real = Date.now; Date.now = () => real.call(Date) + 7_200_000; })()")
        expect(page.locator("#link")).to_contain_text(AS_OF, timeout=3_000)
        taken = wire.taken
        trio.from_thread.run(lambda: world.run("web-1", name="while it slept"))
        dead(wire, False)
        expect(page.locator("#link")).to_be_hidden(timeout=10_000)
        expect(page.get_by_role("link", name="while it slept")).to_be_visible()
        assert wire.taken >= taken
        # after a clock was set back, nothing is shown as outdated
        page.evaluate("(() => { const real = Date.now; Date.now = () => real.call(Date) - 86_400_000; })()")
        page.wait_for_timeout(3_000)
        expect(page.locator("#link")).to_be_hidden()

    assert quiet(await trio.to_thread.run_sync(browse, script, address))
    world.shutdown.set()


@pytest.mark.capability("C1")
@pytest.mark.browser
async def test_after_the_end_of_a_session_the_page_offers_to_sign_in_and_loses_no_input(
    world: World, nursery: trio.Nursery
) -> None:
    _, address = await wired(world, nursery)

    def end() -> None:
        for session in world.app.context.sessions._open.values():  # type: ignore[attr-defined]
            session.ended = True

    def script(page: Page, browser: Browser) -> None:
        sign_in(page)
        expect(page.locator("#who")).to_have_text("Signed in as admin")
        page.goto("/new")
        page.locator("#text").fill("echo kept")
        page.locator("#targets").fill("web-1")
        expect(page.locator("#preview")).to_contain_text("1 host")
        trio.from_thread.run_sync(end)
        expect(page.locator("#link")).to_contain_text("You are signed out.")
        assert page.url.endswith("/new")
        assert violations(page) == []
        page.locator("#again-token").fill("cl_wrong")
        page.locator("#link button.primary").click()
        expect(page.locator("#again-wrong")).to_contain_text("the token is invalid")
        page.locator("#again-token").fill(ADMIN.text)
        page.locator("#link button.primary").click()
        expect(page.locator("#link")).to_be_hidden()
        assert (page.locator("#text").input_value(), page.locator("#targets").input_value()) == ("echo kept", "web-1")
        page.get_by_role("button", name="Show the plan").click()
        page.get_by_role("button", name="Run now").click()
        page.wait_for_url("**/tasks/*")
        # what a list shows while the user is signed out is outdated, and is updated after signing in
        page.goto("/tasks")
        expect(page.get_by_role("link", name="echo kept")).to_be_visible()
        trio.from_thread.run_sync(end)
        expect(page.locator("#link")).to_contain_text("You are signed out.")
        trio.from_thread.run(lambda: world.run("web-1", name="meanwhile"))
        page.locator("#again-token").fill(ADMIN.text)
        page.locator("#link button.primary").click()
        expect(page.get_by_role("link", name="meanwhile")).to_be_visible()
        kept = page.evaluate("JSON.stringify([{...sessionStorage}, {...localStorage}])")
        assert ADMIN.text not in kept and "cl_" not in kept
        # another tab signs in: this one notices when it becomes visible
        trio.from_thread.run_sync(end)
        expect(page.locator("#link")).to_contain_text("You are signed out.")
        page.evaluate(LOGIN, ADMIN.text)
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        expect(page.locator("#link")).to_be_hidden()

    assert quiet(await trio.to_thread.run_sync(browse, script, address))
    world.shutdown.set()
