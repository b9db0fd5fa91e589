"""Daily work on the page: a new task, results of a task, keyboard, screen sizes, misleading names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import trio
from playwright.sync_api import Browser, Page, expect

from tests.web.browser import browse, served, settled, sign_in, violations
from tests.web.world import World


@pytest.mark.browser
async def test_answers_fold_are_copied_found_and_saved_as_one_file(world: World, nursery: trio.Nursery) -> None:
    address = await served(world, nursery)
    task = await world.run("web-1", "web-2", name="both/of them", command="x")
    world.report(task, "web-1", stdout=b"alpha\nneedle in the hay\n", stderr=b"warned\n")
    world.report(task, "web-2", code=3, stdout=b"beta\n")
    await world.conductor.committed()

    def script(page: Page, browser: Browser) -> None:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        sign_in(page)
        page.goto(f"/tasks/{task['task_id']}")
        expect(page.locator("[data-group]")).to_have_count(2)
        page.get_by_role("button", name="Fold all").click()
        expect(page.locator("[data-group] pre")).to_have_count(0)
        expect(page.locator("[data-group] summary").first).to_contain_text("web-1")
        page.get_by_role("button", name="Unfold all").click()
        expect(page.locator("[data-group] pre")).to_have_count(3)
        first = page.locator("[data-group]", has_text="alpha")
        first.get_by_role("button", name="Copy output").click()
        expect(first.get_by_role("button", name="Copied")).to_be_visible()
        assert page.evaluate("navigator.clipboard.readText()") == "alpha\nneedle in the hay\nwarned\n"
        first.get_by_role("button", name="Copy hosts").click()
        page.wait_for_timeout(300)
        selector = page.evaluate("navigator.clipboard.readText()")
        assert "group=" in selector or selector == "web-1"
        with page.expect_download() as download:
            page.get_by_role("button", name="Download all outputs").click()
        assert download.value.suggested_filename == "both_of_them.txt"
        text = Path(download.value.path()).read_text()
        assert (
            "==== 1 host: completed, Exit code 0: web-1\n---- stdout\nalpha\nneedle in the hay\n\n---- stderr\nwarned\n"
            in text
        )
        assert "==== 1 host: failed, Exit code 3: web-2\n---- stdout\nbeta\n" in text
        page.locator("h1").click()
        page.keyboard.press("/")
        page.keyboard.type("NEEDLE")
        page.keyboard.press("Enter")
        expect(page.locator(".hits")).to_contain_text("Found in 1 group")
        expect(page.locator(".hits")).to_contain_text("stdout:2")
        page.locator(".hits button").click()
        expect(page.locator(".answer h3")).to_have_text("web-1")
        # the list of hosts: selected rows are selected on the map, where the actions are
        page.get_by_text("All 2 hosts as a list").click()
        page.locator(".list").get_by_label("Choose web-2").check()
        page.get_by_role("button", name="Choose these 1 on the map").click()
        expect(page.get_by_role("button", name="Re-run 1 chosen")).to_be_visible()
        assert violations(page) == []

    assert await trio.to_thread.run_sync(browse, script, address) == []
    world.shutdown.set()


@pytest.mark.browser
async def test_keyboard_shortcuts_open_all_pages_and_are_text_in_fields(world: World, nursery: trio.Nursery) -> None:
    address = await served(world, nursery)

    def script(page: Page, browser: Browser) -> None:
        sign_in(page)
        for keys, path in (("gt", "/tasks"), ("gh", "/hosts"), ("gn", "/new"), ("go", "/")):
            if keys == "go":
                page.keyboard.press("Escape")
            for key in keys:
                page.keyboard.press(key)
            page.wait_for_url(f"{address}{path}")
            settled(page)
        page.keyboard.press("?")
        expect(page.locator("dialog")).to_contain_text("Show this list")
        assert violations(page) == []
        page.keyboard.press("Escape")
        expect(page.locator("dialog")).to_have_count(0)
        page.goto("/hosts")
        settled(page)
        page.keyboard.press("/")
        expect(page.locator("#select")).to_be_focused()
        page.keyboard.type("gt?/")
        expect(page.locator("#select")).to_have_value("gt?/")
        assert page.url == f"{address}/hosts"
        page.goto("/no/such/page")
        expect(page.locator("h1")).to_have_text("Not found")
        expect(page.locator("main")).to_contain_text("/no/such/page")

    complaints = await trio.to_thread.run_sync(browse, script, address)
    assert all("404" in line for line in complaints), complaints
    world.shutdown.set()


@pytest.mark.browser
async def test_wide_screens_are_used_and_hosts_are_selected_by_touch(world: World, nursery: trio.Nursery) -> None:
    address = await served(world, nursery)
    names = [f"node-{index:03}" for index in range(80)]
    await world.know(*names)
    world.connect(*names)
    task = await world.run("node-*")
    for name in names:
        world.report(task, name)
    await world.conductor.committed()

    def script(page: Page, browser: Browser) -> None:
        sign_in(page)
        page.set_viewport_size({"width": 2200, "height": 1200})
        for path in ("/", "/tasks", "/hosts", f"/tasks/{task['task_id']}"):
            page.goto(path)
            settled(page)
            expect(page.locator("main .card").first).to_be_visible()
            assert page.evaluate("document.querySelector('main').getBoundingClientRect().width") > 2_000, path
        assert page.evaluate(
            "(() => { const [a, b] = [...document.querySelector('.split').children].map(one => "
            "one.getBoundingClientRect()); return a.top === b.top && b.left >= a.right; })()"
        ), "hosts and answers stand side by side"
        phone = browser.new_context(
            base_url=address,
            storage_state=page.context.storage_state(),
            viewport={"width": 390, "height": 844},
            has_touch=True,
            is_mobile=True,
            locale="en-GB",
        )
        other = phone.new_page()
        other.goto(f"/tasks/{task['task_id']}")
        expect(other.locator("#map-here")).to_contain_text("node-000")
        other.get_by_role("button", name="Choose by click").tap()
        canvas = other.locator(".map canvas")
        canvas.scroll_into_view_if_needed()
        canvas.tap(position={"x": 8, "y": 8})
        expect(other.get_by_text("1 host chosen")).to_be_visible()
        canvas.tap(position={"x": 60, "y": 8})
        expect(other.get_by_text("2 hosts chosen")).to_be_visible()
        expect(other.locator(".answer")).to_have_count(0)
        assert other.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        phone.close()

    assert await trio.to_thread.run_sync(browse, script, address) == []
    world.shutdown.set()


@pytest.mark.browser
async def test_misleading_characters_in_names_are_shown_as_numbers(world: World, nursery: trio.Nursery) -> None:
    """Right-to-left overrides, zero-width characters and control characters are shown as numbers in all names."""
    address = await served(world, nursery)
    odd = "web\u202e1\u200b\x1b[31m"
    shown = re.escape(r"web\u202e1\u200b\x1b[31m")

    def script(page: Page, browser: Browser) -> None:
        sign_in(page)

        def rename(route: Any) -> None:
            found = route.fetch().json()
            for one in found.get("items", [found]):
                for key in ("hostname", "name"):
                    if key in one:
                        one[key] = odd
            route.fulfill(json=found)

        page.route(re.compile(r"/api/v1/(hosts|tasks)(\?|$)"), rename)
        page.route(re.compile(rf"/api/v1/(hosts/{world.ids['web-1']}|tasks/{task['task_id']})$"), rename)
        for path, where in (
            ("/hosts", "tbody"),
            ("/tasks", "tbody"),
            (f"/hosts/{world.ids['web-1']}", "h1"),
            (f"/tasks/{task['task_id']}", "h1"),
        ):
            page.goto(path)
            expect(page.locator(where).first).to_contain_text(re.compile(shown))
            assert not re.search("[\u202e\u200b\x1b]", page.locator("body").inner_text() + page.title()), path

    task = await world.run("web-1", name="x")
    assert await trio.to_thread.run_sync(browse, script, address) == []
    world.shutdown.set()


@pytest.mark.capability("C1")
@pytest.mark.browser
async def test_a_new_task_keeps_its_text_has_every_field_of_the_api_and_completes_hosts(
    world: World, nursery: trio.Nursery
) -> None:
    address = await served(world, nursery)
    sent: list[dict[str, Any]] = []

    def script(page: Page, browser: Browser) -> None:
        sign_in(page)
        page.goto("/new")
        page.locator("input[value=script]").check()
        page.locator("#text").fill("#!/bin/sh\necho $1\n")
        page.get_by_text("Arguments", exact=True).click()
        page.locator("#args").fill("one two\n-x")
        page.locator("#targets").fill("")
        page.locator("#targets").press_sequentially("we")
        expect(page.locator("#targets-offers li")).to_have_text(["web-1", "web-2"])
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        expect(page.locator("#targets")).to_have_value("web-2")
        expect(page.locator("#preview")).to_contain_text("1 host")
        page.locator("form.new > details summary").last.click()
        values = {
            **{
                "run_as": "nobody",
                "cwd": "/tmp",
                "umask": "027",
                "success_codes": "0, 3",
                "max_output": "5000",
                "parameters": "version=1=2",
                "env": "LANG=C.UTF-8\nEMPTY=",
                "stdin": "fed\n",
            },
            **{
                "concurrency": "5",
                "start_within": "30",
                "grace": "2.5",
                "task_timeout": "900",
                "attempts": "3",
                "description": "why",
                "type": "release",
                "name": "full",
                "interpreter": "/bin/sh",
            },
        }
        for name, value in values.items():
            page.locator(f"#{name}").fill(value)
        page.locator("#leave_children").check()
        page.locator("#if_offline").select_option("wait")
        page.locator("#wait_for").fill("60")
        page.locator("#codes").fill("offline, exit_nonzero")
        page.locator("#backoff").fill("2")
        page.locator("#backoff_max").fill("20")
        page.locator("#idempotent").check()
        # leaving the page and returning loses no input
        page.goto("/help")
        page.goto("/new")
        for name, value in values.items():
            expect(page.locator(f"#{name}")).to_have_value(value)
        expect(page.locator("#text")).to_have_value("#!/bin/sh\necho $1\n")
        assert violations(page) == []
        page.on(
            "request", lambda request: sent.append(request.post_data_json) if request.url.endswith("/run") else None
        )
        page.locator("#text").press("Control+Enter")
        expect(page.get_by_role("button", name="Run now")).to_be_focused()
        page.keyboard.press("Control+Enter")
        page.wait_for_url("**/tasks/*")
        expect(page.locator("h1")).to_have_text("full")
        page.goto("/new")
        expect(page.locator("#text")).to_have_value("")

    assert await trio.to_thread.run_sync(browse, script, address) == []
    (body,) = sent
    assert body == {
        **{
            "targets": ["web-2"],
            "timeout": 3600,
            "if_offline": "wait",
            "wait_for": 60,
            "script": "#!/bin/sh\necho $1\n",
            "interpreter": "/bin/sh",
            "args": ["one two", "-x"],
        },
        **{
            "name": "full",
            "description": "why",
            "type": "release",
            "cwd": "/tmp",
            "run_as": "nobody",
            "umask": "027",
            "task_timeout": 900,
            "concurrency": 5,
            "grace": 2.5,
            "start_within": 30,
            "max_output": 5000,
        },
        **{
            "parameters": {"version": "1=2"},
            "env": {"LANG": "C.UTF-8", "EMPTY": ""},
            "stdin": "fed\n",
            "success_codes": [0, 3],
            "leave_children": True,
        },
        **{
            "retry": {
                "attempts": 3,
                "idempotent": True,
                "codes": ["offline", "exit_nonzero"],
                "backoff": 2,
                "backoff_max": 20,
            }
        },
    }
    world.shutdown.set()
