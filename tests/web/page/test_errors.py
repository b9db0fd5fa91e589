"""Errors appear where they happened and stay until the user acts; background reads do not remove them."""

from __future__ import annotations

import pytest
import trio
from playwright.sync_api import Browser, Page, Route, expect

from tests.web.browser import browse, served, sign_in, violations
from tests.web.world import World


def only_refusals(complaints: list[str]) -> bool:
    return all("Failed to load resource" in line for line in complaints)


@pytest.mark.browser
async def test_a_bad_filter_shows_no_rows_and_an_error_at_its_field(world: World, nursery: trio.Nursery) -> None:
    address = await served(world, nursery)
    task = await world.run("web-1", "web-2", name="all of them")
    world.report(task, "web-1", stdout=b"fine\n")
    await world.conductor.committed()

    def script(page: Page, browser: Browser) -> None:
        sign_in(page)
        page.goto("/hosts")
        expect(page.locator("tbody tr")).to_have_count(3)
        page.locator("#select").fill("web* and and")
        page.keyboard.press("Enter")
        expect(page.locator("#select-wrong")).to_contain_text("column")
        expect(page.locator("#select")).to_have_attribute("aria-invalid", "true")
        expect(page.locator("tbody tr")).to_have_count(0)
        expect(page.locator("#select-wrong")).to_be_in_viewport()
        assert violations(page) == []
        page.get_by_role("button", name="Clear filters").first.click()
        expect(page.locator("tbody tr")).to_have_count(3)
        expect(page.locator(".problem")).to_have_count(0)
        # the same for tasks, by a field of their own, also from the URL
        page.goto("/tasks?host=nobody")
        expect(page.locator("#host-wrong")).to_be_visible()
        expect(page.locator("tbody tr")).to_have_count(0)
        page.goto("/tasks?since=nonsense")
        expect(page.locator(".problem")).to_be_visible()
        expect(page.locator("tbody tr")).to_have_count(0)
        # and for result groups
        page.goto(f"/tasks/{task['task_id']}")
        expect(page.locator("[data-group]")).to_have_count(1)
        page.locator("#where").fill("exit_code!==")
        page.keyboard.press("Enter")
        expect(page.locator("#where-wrong")).to_be_visible()
        expect(page.locator("[data-group]")).to_have_count(0)
        trio.from_thread.run_sync(lambda: world.report(task, "web-2", stdout=b"fine\n"))
        expect(page.locator("[data-status=completed]")).to_be_visible()
        page.wait_for_timeout(1_500)
        expect(page.locator("#where-wrong")).to_be_visible()
        expect(page.locator("[data-group]")).to_have_count(0)

    assert only_refusals(await trio.to_thread.run_sync(browse, script, address))
    world.shutdown.set()


@pytest.mark.capability("C1")
@pytest.mark.browser
async def test_an_error_of_an_action_survives_reads_in_the_background(world: World, nursery: trio.Nursery) -> None:
    address = await served(world, nursery)
    task = await world.run("web-1", "web-2", name="busy")
    world.begin(task, "web-1")

    def busily() -> None:
        """Change something for every viewer."""
        trio.from_thread.run(lambda: world.run("web-2", name="other"))
        trio.from_thread.run(lambda: world.know(f"new-{len(world.ids)}"))

    def stays(page: Page, where: str) -> None:
        expect(page.locator(where)).to_be_visible()
        for _ in range(6):
            busily()
            page.wait_for_timeout(700)
        expect(page.locator(where)).to_be_visible()

    def script(page: Page, browser: Browser) -> None:
        sign_in(page)
        # an invalid label on a host's page
        page.goto("/hosts/web-1")
        page.locator("#label").fill("-bad-=x")
        page.keyboard.press("Enter")
        stays(page, "#label-wrong")
        page.locator("#label").fill("good=x")
        page.keyboard.press("Enter")
        expect(page.locator("#label-wrong")).to_have_count(0)
        # a label for selected rows; they stay selected
        page.goto("/hosts")
        page.get_by_label("Choose web-1").check()
        page.locator("#bulk-label").fill("-bad-=x")
        page.keyboard.press("Enter")
        stays(page, ".bulk .problem")
        expect(page.locator(".bulk")).to_contain_text("1 row chosen")
        # an action on a task that the server refuses
        page.goto(f"/tasks/{task['task_id']}")
        page.route(
            "**/cancel",
            lambda route: route.fulfill(
                status=503,
                content_type="application/json",
                body='{"error":{"code":"overloaded","message":"no room","field":null,"hint":"later","request_id":"1"}}',
            ),
        )
        page.get_by_role("button", name="Cancel", exact=True).click()
        stays(page, ".top .problem")
        page.locator(".top .problem button").click()
        expect(page.locator(".top .problem")).to_have_count(0)

    assert only_refusals(await trio.to_thread.run_sync(browse, script, address))
    world.shutdown.set()


@pytest.mark.browser
async def test_errors_of_a_new_task_appear_at_their_fields_and_open_the_section(
    world: World, nursery: trio.Nursery
) -> None:
    address = await served(world, nursery)

    def script(page: Page, browser: Browser) -> None:
        sign_in(page)
        for field, value, named in (
            ("umask", "9", "umask"),
            ("success_codes", "0, 999", "success_codes"),
            ("env", "1BAD=x", "env"),
            ("cwd", "relative", "cwd"),
        ):
            page.goto("/new")
            page.get_by_role("button", name="Start with an empty form").or_(page.locator("h1")).first.click()
            page.locator("#text").fill("true")
            page.locator("#targets").fill("web-1")
            page.locator("form.new > details summary").last.click()
            page.locator(f"#{field}").fill(value)
            page.locator("form.new > details summary").last.click()
            page.locator("#text").press("Control+Enter")
            expect(page.locator(".plan")).to_be_visible()
            page.keyboard.press("Control+Enter")
            expect(page.locator(f"#{field}-wrong")).to_be_visible()
            expect(page.locator(f"#{field}-wrong")).to_contain_text(named)
            expect(page.locator(f"#{field}")).to_have_attribute("aria-invalid", "true")
            trio.from_thread.run(lambda: world.know(f"late-{len(world.ids)}"))
            page.wait_for_timeout(1_000)
            expect(page.locator(f"#{field}-wrong")).to_be_visible()
            page.locator(f"#{field}").fill("")
            expect(page.locator(f"#{field}-wrong")).to_have_count(0)

    assert only_refusals(await trio.to_thread.run_sync(browse, script, address))
    world.shutdown.set()


@pytest.mark.browser
@pytest.mark.parametrize("fails", ["no answer", "an error of the server"])
async def test_a_field_is_not_marked_wrong_when_the_server_does_not_answer(
    world: World, nursery: trio.Nursery, fails: str
) -> None:
    address = await served(world, nursery)
    task = await world.run("web-1", name="quiet")
    world.report(task, "web-1", stdout=b"fine\n")
    await world.conductor.committed()
    body = '{"error":{"code":"internal_error","message":"broken","field":null,"hint":"later","request_id":"1"}}'

    def script(page: Page, browser: Browser) -> None:
        def fail(route: Route) -> None:
            route.abort() if fails == "no answer" else route.fulfill(
                status=500, content_type="application/json", body=body
            )

        sign_in(page)
        for path, field, asked, text in (
            (f"/tasks/{task['task_id']}", "where", "**/groups?*where=*", "exit_code=0"),
            (f"/tasks/{task['task_id']}", "find-text", "**/search?*", "fine"),
            ("/hosts", "select", "**/hosts?*select=*", "web*"),
            ("/tasks", "host", "**/tasks?*host=*", "web-1"),
        ):
            page.goto(path)
            page.route(asked, fail)
            page.locator(f"#{field}").fill(text)
            page.keyboard.press("Enter")
            expect(page.locator("main .problem")).to_have_count(1)
            expect(page.locator(f"#{field}-wrong")).to_have_count(0)
            expect(page.locator(f"#{field}")).not_to_have_attribute("aria-invalid", "true")
            assert violations(page) == []
            page.unroute(asked)

    assert only_refusals(await trio.to_thread.run_sync(browse, script, address))
    world.shutdown.set()
