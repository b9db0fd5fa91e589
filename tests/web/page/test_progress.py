"""Progress, selection and actions reflect the current state of the task."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import trio
from playwright.sync_api import Browser, Page, Route, expect

from server.core.events import Outcome, Result
from tests.web.browser import browse, served, sign_in, violations
from tests.web.world import World

METER = (
    "() => { const one = document.querySelector('.figures .meter'), all = one.getBoundingClientRect().width; "
    "return [[...one.querySelectorAll('i')].map(i => Math.round(100 * i.getBoundingClientRect().width / all)), "
    "[...one.querySelectorAll('b')].map(b => [Math.round(100 * b.getBoundingClientRect().width / all), "
    "Math.round(b.getBoundingClientRect().height)])]; }"
)


def answered(body: dict[str, Any], route: Route) -> None:
    route.fulfill(json=body)


async def many(world: World, count: int, **more: Any) -> tuple[list[str], dict[str, Any]]:
    names = [f"node-{index:03}" for index in range(count)]
    await world.know(*names)
    world.connect(*names)
    return names, await world.run("node-*", **more)


def canceled(world: World, task: dict[str, Any], name: str) -> None:
    world.conductor.submit(
        Result(
            world.ids[name],
            task["command"]["command_id"],
            1,
            Outcome.CANCELED,
            signal=15,
            error_code="canceled",
            execution_ms=7,
        )
    )


@pytest.mark.browser
async def test_a_bar_is_empty_at_nothing_and_split_by_how_hosts_ended(world: World, nursery: trio.Nursery) -> None:
    address = await served(world, nursery)
    names, task = await many(world, 10)
    for name in names:
        world.begin(task, name)
    await world.conductor.committed()

    def script(page: Page, browser: Browser) -> None:
        sign_in(page)
        page.goto(f"/tasks/{task['task_id']}")
        expect(page.locator("[data-count=running]")).to_contain_text("10")
        assert page.evaluate(METER) == [[], [[100, 3]]], "nothing has ended, so nothing is filled; what runs is a line"
        expect(page.locator(".figures .meter")).to_have_attribute("aria-valuenow", "0")
        for index in range(5):
            trio.from_thread.run_sync(lambda index=index: world.report(task, names[index], code=int(index > 2)))
        expect(page.locator("[data-count=failed]")).to_contain_text("2")
        page.wait_for_timeout(500)
        assert page.evaluate(METER) == [[30, 20], [[50, 3]]]
        expect(page.locator(".figures .meter")).to_have_attribute(
            "aria-valuetext", "50 %: completed 3, failed 2, running 5"
        )
        page.goto("/tasks")
        expect(page.locator("td .meter")).to_have_attribute("aria-valuenow", "50")

    assert await trio.to_thread.run_sync(browse, script, address) == []
    world.shutdown.set()


@pytest.mark.capability("C1")
@pytest.mark.browser
async def test_hosts_of_small_tasks_are_selected_by_box_key_and_tap_and_offered_actions_work(
    world: World, nursery: trio.Nursery
) -> None:
    address = await served(world, nursery)
    task = await world.run("web-1", "web-2")
    world.begin(task, "web-1")
    world.begin(task, "web-2")
    await world.conductor.committed()

    def script(page: Page, browser: Browser) -> None:
        sign_in(page)
        page.goto(f"/tasks/{task['task_id']}")
        expect(page.locator("ul.hosts li")).to_have_count(2)
        expect(page.locator("[data-host=web-1]")).to_contain_text("web-1")
        expect(page.locator("[data-host=web-1]")).to_contain_text("running")
        expect(page.locator(".map")).to_have_count(0)
        page.get_by_label("Choose web-1").check()
        page.locator("ul.hosts button").first.focus()
        page.keyboard.press("End")
        page.keyboard.press(" ")
        expect(page.locator("li.chosen")).to_have_count(2)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
            assert page.evaluate("getComputedStyle(document.querySelector('li.chosen')).outlineWidth") == "2px"
            assert violations(page) == []
        expect(page.get_by_role("button", name="Cancel 2 chosen")).to_be_visible()
        # one of them ends: it cannot be canceled, so it does not count
        trio.from_thread.run_sync(lambda: world.report(task, "web-1"))
        expect(page.get_by_role("button", name="Cancel 1 chosen")).to_be_visible()
        expect(page.get_by_text("1 of the chosen hosts has ended and cannot be canceled.")).to_be_visible()
        page.get_by_label("Choose web-2").uncheck()
        expect(page.get_by_role("button", name="chosen").filter(has_text="Cancel")).to_have_count(0)
        expect(page.get_by_text("All chosen hosts have ended")).to_be_visible()
        # by tapping
        page.get_by_role("button", name="Choose none").click()
        page.get_by_role("button", name="Choose by click").click()
        page.locator("[data-host=web-2] button").click()
        expect(page.locator("[data-host=web-2]")).to_have_class("s-running chosen")
        expect(page.locator(".answer")).to_have_count(0)
        with page.expect_response("**/cancel"):
            page.get_by_role("button", name="Cancel 1 chosen").click()
        trio.from_thread.run_sync(lambda: canceled(world, task, "web-2"))
        # some hosts were canceled and none failed: the task is not shown as failed
        expect(page.locator("[data-status]")).to_have_text("⊘completed, the rest canceled")
        page.goto("/tasks")
        expect(page.locator("[data-status]")).to_contain_text("completed, the rest canceled")

    assert await trio.to_thread.run_sync(browse, script, address) == []
    world.shutdown.set()


@pytest.mark.browser
async def test_the_map_of_many_hosts_is_searched_and_selected_by_key_click_and_state(
    world: World, nursery: trio.Nursery
) -> None:
    address = await served(world, nursery)
    names, task = await many(world, 100)
    for name in names:
        world.report(task, name, code=int(name == "node-077"))
    await world.conductor.committed()
    pixel = (
        "() => { const one = document.querySelector('.map canvas'); return one ? "
        "[...one.getContext('2d').getImageData(5, 5, 1, 1).data] : [0, 0, 0, 0]; }"
    )

    def script(page: Page, browser: Browser) -> None:
        sign_in(page)
        page.goto(f"/tasks/{task['task_id']}")
        expect(page.locator("[data-status=failed]")).to_be_visible()
        page.wait_for_function(f"({pixel})()[3] > 0")
        plain = page.evaluate(pixel)
        page.locator("#find").fill("077")
        expect(page.locator("#found")).to_have_text("1 host")
        expect(page.locator("#map-here")).to_contain_text("node-077: failed")
        page.keyboard.press("Enter")
        expect(page.locator(".answer h3")).to_have_text("node-077")
        page.locator("#find").fill("node-07")
        page.get_by_role("button", name="Choose these 10").click()
        expect(page.get_by_text("10 hosts chosen")).to_be_visible()
        page.wait_for_function(f"([plain]) => ({pixel})().join() !== plain.join()", arg=[plain])
        assert page.evaluate(pixel)[3] < plain[3], "what is not chosen is pale"
        # select all hosts in one state by its count
        page.locator("[data-count=failed]").click()
        expect(page.get_by_text("1 host chosen")).to_be_visible()
        page.get_by_role("button", name="New task for 1 chosen").click()
        page.wait_for_url("**/new")
        expect(page.locator("#targets")).to_have_value("node-077")

    assert await trio.to_thread.run_sync(browse, script, address) == []
    world.shutdown.set()


@pytest.mark.browser
async def test_a_repeated_task_names_its_own_hosts_and_a_released_host_is_not_shown_as_offline(
    world: World, nursery: trio.Nursery
) -> None:
    address = await served(world, nursery)
    task = await world.run("all", command="true")
    world.report(task, "web-1")
    world.report(task, "web-2", code=1)
    await world.conductor.committed()
    again = (await world.post(f"/api/v1/tasks/{task['task_id']}/rerun", {"hosts": ["web-1", "web-2"]})).json

    def identity(state: str | None) -> Any:
        def answer(route: Any) -> None:
            found = route.fetch().json()
            found["identity"] = (
                None
                if state is None
                else {
                    "state": state,
                    "generation": 1,
                    "certificate_expires_at": 1,
                    "revoked_at": 1,
                    "revoked_by": "admin",
                    "quarantined_at": None,
                    "quarantine_reason": None,
                }
            )
            route.fulfill(json=found)

        return answer

    def script(page: Page, browser: Browser) -> None:
        sign_in(page)
        page.goto(f"/tasks/{again['task_id']}")
        expect(page.locator(".what")).to_contain_text("2 hosts: web-1, web-2 some of the hosts of the earlier task")
        expect(page.locator(".what")).to_contain_text("Run by")
        expect(page.locator(".what pre").first).to_have_text("true")
        # db-1 was offline when its turn came; the hint depends on what has happened to it since
        for state, text in (
            (None, "join an agent"),
            ("released", "released since: join it again"),
            ("revoked", "revoked since: release it"),
            ("quarantined", "quarantined"),
        ):
            page.unroute_all(behavior="ignoreErrors")
            page.route(f"**/api/v1/hosts/{world.ids['db-1']}", identity(state))
            page.goto(f"/tasks/{task['task_id']}?host={world.ids['db-1']}")
            expect(page.locator(".answer")).to_contain_text(text)
            if state:
                expect(page.locator(".answer")).not_to_contain_text("start the agent")
                page.goto(f"/hosts/{world.ids['db-1']}")
                expect(page.locator(".top .pill")).not_to_contain_text("offline")
                expect(page.locator("p.note")).to_contain_text(text)

    assert await trio.to_thread.run_sync(browse, script, address) == []
    world.shutdown.set()


@pytest.mark.browser
async def test_groups_that_are_behind_the_counts_say_so(world: World, nursery: trio.Nursery) -> None:
    address = await served(world, nursery)
    task = await world.run("web-1", "web-2")
    world.report(task, "web-1", stdout=b"one\n")
    await world.conductor.committed()

    def script(page: Page, browser: Browser) -> None:
        sign_in(page)
        page.goto(f"/tasks/{task['task_id']}")
        expect(page.locator("[data-group]")).to_have_count(1)
        expect(page.locator(".behind")).to_have_count(0)
        # group updates are held back; the counts continue
        page.route("**/groups*", lambda route: None)
        page.locator("#order").select_option("outliers")
        trio.from_thread.run_sync(lambda: world.report(task, "web-2", stdout=b"two\n"))
        expect(page.locator("[data-status=failed]").or_(page.locator("[data-status=completed]"))).to_be_visible()
        expect(page.locator(".behind")).to_contain_text("1 more host has ended and is not in these groups yet.")
        expect(page.locator(".behind")).to_contain_text("As of ")
        page.unroute_all(behavior="ignoreErrors")

    assert await trio.to_thread.run_sync(browse, script, address) == []
    world.shutdown.set()


@pytest.mark.browser
async def test_labels_of_charts_are_not_cut_off(world: World, nursery: trio.Nursery) -> None:
    """A label that is cut off at the left edge of the canvas would leave pixels in its first column."""
    address = await served(world, nursery)
    seen = (
        "() => [...document.querySelectorAll('.chart canvas')].map(one => { const d = "
        "one.getContext('2d').getImageData(0, 0, 2, one.height).data; let ink = 0; for (let i = 3; i < d.length; i "
        "+= 4) ink += d[i] > 0; return ink; })"
    )

    def script(page: Page, browser: Browser) -> None:
        sign_in(page)
        for factor in (1, 1_000, 123_456, 99_999_999):
            figures = {
                "tasks": {},
                "executions": {"running": 7 * factor, "dispatched": 0},
                "hosts": {"known": 9 * factor, "connected": 9 * factor},
            }
            full = {
                **figures,
                "tasks": dict.fromkeys(("pending", "running", "completed", "failed", "canceled", "timeout"), 0),
            }
            full["executions"] = {
                **dict.fromkeys(
                    ("pending", "dispatched", "completed", "failed", "timeout", "canceled", "dispatch_failed", "lost"),
                    0,
                ),
                "running": 7 * factor,
            }
            page.unroute_all(behavior="ignoreErrors")
            page.route("**/api/v1/statistics", partial(answered, full))
            page.route("**/api/v1/events*", lambda route: route.abort())
            for width in (1180, 390):
                page.set_viewport_size({"width": width, "height": 800})
                page.goto("/")
                expect(page.locator(".chart canvas")).to_have_count(2)
                page.wait_for_timeout(300)
                assert page.evaluate(seen) == [0, 0], (factor, width)

    complaints = await trio.to_thread.run_sync(browse, script, address)
    assert all("ERR_" in line for line in complaints), complaints
    world.shutdown.set()
