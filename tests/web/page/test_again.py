"""The page repeats failed reads by itself, and says so if a change may or may not have been made."""

from __future__ import annotations

import re

import pytest
import trio
from playwright.sync_api import Browser, Page, Route, expect

from tests.web.browser import browse, served, sign_in
from tests.web.world import World

BUSY = '{"error": {"code": "overloaded", "message": "there is no room now", "hint": "try again"}}'


class Fault:
    """Makes the next `times` requests to addresses like `pattern` fail. `how` is a status, or 0 to break the
    connection."""

    def __init__(self, page: Page, pattern: str, how: int = 503, times: int = 2) -> None:
        self.left, self._how = times, how
        page.route(re.compile(pattern), self._take)

    def _take(self, route: Route) -> None:
        if self.left == 0:
            return route.continue_()
        self.left -= 1
        if self._how == 0:
            return route.abort()
        return route.fulfill(status=self._how, content_type="application/json", body=BUSY)


def of_connections(complaints: list[str]) -> bool:
    return all("ERR_" in line or "Failed to load resource" in line for line in complaints)


@pytest.mark.browser
@pytest.mark.parametrize("how", [503, 0])
async def test_every_failed_first_read_is_repeated_while_the_stream_works(
    world: World, nursery: trio.Nursery, how: int
) -> None:
    address = await served(world, nursery)
    task = await world.run("web-1", "web-2", name="told")
    world.report(task, "web-1", 0, b"what it said\n")
    await world.conductor.committed()
    at = f"/tasks/{task['task_id']}"

    def script(page: Page, browser: Browser) -> None:
        sign_in(page)
        for path, pattern, there in (
            ("/", r"/api/v1/statistics", ".tiles"),
            ("/", r"/api/v1/tasks\?", "tbody"),
            ("/tasks", r"/api/v1/tasks\?", "tbody"),
            ("/hosts", r"/api/v1/hosts\?", "tbody tr:nth-child(3)"),
            ("/hosts/web-1", r"/api/v1/hosts/web-1$", "main > .top .pill"),
            ("/hosts/web-1", r"/api/v1/hosts/web-1/tasks", "tbody"),
            ("/help", r"/api/v1/words", "svg"),
            ("/help", r"/api/v1/session", "#who:not([hidden])"),
            ("/new", r"/api/v1/hosts/select", "#preview b:has-text('3 hosts')"),
            (at, r"/api/v1/tasks/[^/]+$", "ul.hosts"),
            (at, r"/api/v1/tasks/[^/]+/cells", "ul.hosts"),
            (at, r"/api/v1/tasks/[^/]+/states", "ul.hosts"),
            (f"{at}?host={world.ids['web-1']}", r"/hosts/[^/]+$", ".answer .output pre"),
            (f"{at}?host={world.ids['web-1']}", r"/output\?stream=stdout", ".answer .output pre"),
        ):
            fault = Fault(page, pattern, how)
            page.goto(path)
            expect(page.locator(there).first).to_be_visible()
            assert fault.left < 2, (path, pattern)
            expect(page.locator("main .problem")).to_have_count(0)
            expect(page.locator("#notice")).to_be_hidden()
            expect(page.locator("#link")).to_be_hidden()
            page.unroute_all()

    assert of_connections(await trio.to_thread.run_sync(browse, script, address))
    world.shutdown.set()


@pytest.mark.browser
async def test_a_failed_later_read_is_repeated_until_nothing_is_outdated(world: World, nursery: trio.Nursery) -> None:
    address = await served(world, nursery)
    task = await world.run("web-1", "web-2", name="first")
    at = f"/tasks/{task['task_id']}"

    def script(page: Page, browser: Browser) -> None:
        sign_in(page)
        # a list
        page.goto("/tasks")
        expect(page.get_by_role("link", name="first")).to_be_visible()
        fault = Fault(page, r"/api/v1/tasks\?")
        trio.from_thread.run(lambda: world.run("web-1", name="second"))
        expect(page.get_by_role("link", name="second")).to_be_visible()
        expect(page.locator("main .problem")).to_have_count(0)
        assert fault.left == 0
        page.unroute_all()
        # the result of one host, about whose end no further event arrives; and filtered groups
        page.goto(f"{at}?host={world.ids['web-1']}")
        expect(page.locator(".answer h3")).to_have_text("web-1")
        page.locator("#where").fill("text contains 'fine'")
        page.locator("#where").press("Enter")
        expect(page.get_by_text("No answer matches.")).to_be_visible()
        row, groups = Fault(page, r"/hosts/[^/]+$"), Fault(page, r"/groups")
        for name in ("web-1", "web-2"):
            trio.from_thread.run_sync(world.report, task, name, 0, b"all is fine\n")
        expect(page.locator(".answer > .output pre")).to_contain_text("all is fine")
        expect(page.locator("[data-group]")).to_contain_text("2 hosts")
        expect(page.locator("main .problem")).to_have_count(0)
        assert (row.left, groups.left) == (0, 0)
        page.unroute_all()
        # a refused request is not repeated
        refused = Fault(page, r"/groups", 422, times=100)
        page.locator("#where").fill("exit_code = = 1")
        page.locator("#where").press("Enter")
        expect(page.locator("#where-wrong")).to_be_visible()
        page.wait_for_timeout(4_000)
        assert refused.left == 99

    assert of_connections(await trio.to_thread.run_sync(browse, script, address))
    world.shutdown.set()


@pytest.mark.browser
async def test_a_list_of_a_tasks_hosts_shows_the_time_of_its_data(world: World, nursery: trio.Nursery) -> None:
    address = await served(world, nursery)
    task = await world.run("web-1", "web-2", name="going on")

    def script(page: Page, browser: Browser) -> None:
        sign_in(page)
        page.goto(f"/tasks/{task['task_id']}")
        page.locator("details.list > summary").click()
        rows = page.locator("details.list tbody tr")
        expect(rows).to_have_count(2)
        expect(page.get_by_text("hosts have changed since")).to_have_count(0)
        trio.from_thread.run_sync(world.report, task, "web-1")
        expect(page.get_by_text(re.compile(r"As of \d\d:\d\d:\d\d; hosts have changed since"))).to_be_visible()
        expect(rows.first).not_to_contain_text("completed")
        # downloading a file does not update the rows that are shown
        page.locator("details.list details.menu > summary", has_text="Export").click()
        with page.expect_download():
            page.get_by_role("button", name="CSV").click()
        expect(page.get_by_text("hosts have changed since")).to_be_visible()
        page.get_by_role("button", name="Read again").click()
        expect(rows.first).to_contain_text("completed")
        expect(page.get_by_text("hosts have changed since")).to_have_count(0)

    assert await trio.to_thread.run_sync(browse, script, address) == []
    world.shutdown.set()


@pytest.mark.browser
async def test_a_request_whose_response_is_lost_is_repeated_with_the_same_key(
    world: World, nursery: trio.Nursery
) -> None:
    address = await served(world, nursery)
    task = await world.run("web-1", name="again and again")
    world.report(task, "web-1", 1)
    await world.conductor.committed()

    def lose(page: Page, pattern: str) -> None:
        """The request is carried out, and its response is lost."""

        def take(route: Route) -> None:
            route.fetch()
            route.abort()

        page.route(re.compile(pattern), take)

    async def number() -> int:
        return len((await world.get("/api/v1/tasks")).json["items"])

    def script(page: Page, browser: Browser) -> None:
        sign_in(page)
        page.goto("/new")
        page.locator("#text").fill("echo once")
        page.locator("#targets").fill("web-1")
        for _ in range(2):
            page.get_by_role("button", name="Show the plan").click()
            lose(page, r"/api/v1/run$")
            page.get_by_role("button", name="Run now").click()
            expect(page.locator("form .problem")).to_contain_text("it is carried out only once")
            page.unroute_all()
            # also after the tab is reloaded
            page.reload()
            expect(page.locator("#text")).to_have_value("echo once")
        page.get_by_role("button", name="Show the plan").click()
        page.get_by_role("button", name="Run now").click()
        page.wait_for_url("**/tasks/*")
        assert trio.from_thread.run(number) == 2
        # the same text once more is another task
        page.goto("/new")
        page.locator("#text").fill("echo once")
        page.locator("#targets").fill("web-1")
        page.get_by_role("button", name="Show the plan").click()
        page.get_by_role("button", name="Run now").click()
        page.wait_for_url("**/tasks/*")
        assert trio.from_thread.run(number) == 3
        # a re-run
        page.goto(f"/tasks/{task['task_id']}")
        lose(page, r"/rerun$")
        page.get_by_role("button", name="Run again").click()
        expect(page.locator("main .problem")).to_contain_text("it is carried out only once")
        page.unroute_all()
        page.get_by_role("button", name="Run again").click()
        expect(page.get_by_text("some of the hosts of")).to_be_visible()
        assert trio.from_thread.run(number) == 4
        # for a request without a key, the page says that it may have been carried out
        lose(page, r"/cancel$")
        page.get_by_role("button", name="Cancel", exact=True).click()
        expect(page.locator("main .problem")).to_contain_text("the request may still have been carried out")

    assert of_connections(await trio.to_thread.run_sync(browse, script, address))
    world.shutdown.set()
