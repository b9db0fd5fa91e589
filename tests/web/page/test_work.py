"""An operator's daily work on the page: filters, choices over rows, files, drafts, keys, and addresses that lead
nowhere."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
import trio
from playwright.sync_api import Browser, Page, expect

from server.web.page.pages import assets
from tests.web.browser import browse, served, settled, sign_in, violations
from tests.web.world import World

HTML = {"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}


async def test_an_address_that_leads_nowhere_is_a_page_for_people_and_json_for_programs(world: World) -> None:
    for path in ("/nothing", "/tasks/x/y/z", "/hosts/a/b", "/new/old"):
        page = await world.get(path, token=False, headers=HTML)
        assert (page.status, page.headers["Content-Type"]) == (404, "text/html; charset=utf-8"), path
        assert "pages/missing.js" in page.data.decode() and page.headers["Content-Security-Policy"].startswith(
            "default-src 'none'"
        )
        assert (await world.get(path, token=False)).error["code"] == "route_not_found"
    for path in ("/api/v1/nothing", "/static/0/x.js"):
        assert (await world.get(path, headers=HTML)).error["code"] == "route_not_found", path
    chinese = await world.get("/nothing", token=False, headers=HTML | {"Accept-Language": "zh-CN"})
    assert "未找到" in chinese.data.decode()


async def test_browsers_find_an_icon_where_they_look_for_it(world: World) -> None:
    icon = await world.get("/favicon.ico", token=False)
    assert (icon.status, icon.headers["Content-Type"]) == (200, "image/svg+xml") and icon.data == assets()[1][
        "icon.svg"
    ]


async def test_a_page_whose_address_holds_more_than_it_knows_is_shown_all_the_same(world: World) -> None:
    for path in ("/tasks?utm_source=mail", "/hosts?select=", "/new?targets=a&targets=b"):
        assert (await world.get(path, token=False, headers=HTML)).status == 200, path
    assert (await world.get("/api/v1/tasks?utm_source=mail")).status == 422


@pytest.mark.browser
async def test_rows_of_hosts_are_sorted_chosen_labeled_saved_and_given_a_task(
    world: World, nursery: trio.Nursery, tmp_path: Path
) -> None:
    address = await served(world, nursery)

    def names(page: Page) -> list[str]:
        return [text.strip() for text in page.locator("tbody td.wide").all_inner_texts()]

    def saved(page: Page, kind: str) -> str:
        page.get_by_text("Export", exact=True).click()
        with page.expect_download() as download:
            page.get_by_role("button", name=kind).click()
        page.get_by_text("Export", exact=True).click()
        return Path(download.value.path()).read_text(encoding="utf-8-sig")

    def script(page: Page, browser: Browser) -> None:
        sign_in(page)
        page.goto("/hosts")
        expect(page.locator("tbody tr")).to_have_count(3)
        assert names(page) == ["db-1", "web-1", "web-2"]
        head = page.get_by_role("columnheader", name="Host")
        head.get_by_role("button").click()
        head.get_by_role("button").click()
        assert names(page) == ["web-2", "web-1", "db-1"]
        expect(head).to_have_attribute("aria-sort", "descending")
        # columns are chosen, and the browser keeps that
        page.get_by_text("Columns", exact=True).click()
        page.get_by_label("Host id").check()
        page.get_by_label("Agent", exact=True).uncheck()
        page.reload()
        settled(page)
        expect(page.get_by_role("columnheader", name="Host id")).to_be_visible()
        expect(page.get_by_role("columnheader", name="Agent")).to_have_count(0)
        # a file of all rows, and of those that are chosen
        rows = list(csv.DictReader(io.StringIO(saved(page, "CSV"))))
        assert [row["hostname"] for row in rows] == ["db-1", "web-1", "web-2"] and {
            row["connected"] for row in rows
        } == {"online", "offline"}
        page.get_by_label("Choose web-1").check()
        page.get_by_label("Choose web-2").check()
        assert [host["hostname"] for host in json.loads(saved(page, "JSON"))] == ["web-1", "web-2"]
        assert violations(page) == []
        # labels for them
        page.locator("#bulk-label").fill("env=prod")
        page.get_by_role("button", name="Set").click()
        expect(page.get_by_text("2 changed")).to_be_visible()
        expect(page.locator("tbody .label", has_text="env=prod")).to_have_count(2)
        page.locator("#bulk-label").fill("env")
        page.get_by_role("button", name="Remove").click()
        expect(page.locator("tbody .label", has_text="env=prod")).to_have_count(0)
        # what a filter takes out of the list is not chosen any more
        page.get_by_role("button", name="offline", exact=True).click()
        expect(page.locator("tbody tr")).to_have_count(1)
        expect(page.locator(".bulk")).to_have_count(0)
        page.get_by_role("button", name="Clear filters").click()
        expect(page.locator("tbody tr")).to_have_count(3)
        page.get_by_label("Choose all rows shown").check()
        page.get_by_role("button", name="New task for 3 chosen").click()
        page.wait_for_url("**/new")
        expect(page.locator("#targets")).to_have_value("db-1, web-1, web-2")

    assert await trio.to_thread.run_sync(browse, script, address) == []
    world.shutdown.set()


@pytest.mark.browser
async def test_csv_cannot_carry_a_formula_into_a_spreadsheet(world: World, nursery: trio.Nursery) -> None:
    address = await served(world, nursery)
    base = f"/static/{assets()[0]}"
    script_text = (
        "async ([base, rows]) => (await import(`${base}/parts/table.js`)).csv([{key: 'a', value: (row) => row[0]}, "
        "{key: 'b', value: (row) => row[1]}], rows)"
    )

    def script(page: Page, browser: Browser) -> None:
        sign_in(page)
        text = page.evaluate(
            script_text, [base, [["=1+1", -5], ["+x", 'say "hi", now'], ["@a", "two\nlines"], ["plain", None]]]
        )
        assert text == 'a,b\r\n\'=1+1,-5\r\n\'+x,"say ""hi"", now"\r\n\'@a,"two\nlines"\r\nplain,\r\n'

    assert await trio.to_thread.run_sync(browse, script, address) == []
    world.shutdown.set()


@pytest.mark.browser
async def test_filters_of_tasks_are_chips_with_presets_that_an_address_keeps(
    world: World, nursery: trio.Nursery
) -> None:
    address = await served(world, nursery)
    for name in ("deploy one", "deploy two", "backup"):
        task = await world.run("web-1", name=name, command=f"echo {name}")
        world.report(task, "web-1", code=int(name == "backup"))
    await world.conductor.committed()

    def script(page: Page, browser: Browser) -> None:
        sign_in(page)
        page.goto("/tasks")
        expect(page.locator("tbody tr")).to_have_count(3)
        page.keyboard.press("/")
        expect(page.locator("#name")).to_be_focused()
        page.keyboard.type("deploy*")
        page.keyboard.press("Enter")
        expect(page.locator("tbody tr")).to_have_count(2)
        expect(page.locator(".chip.held")).to_contain_text("Name: deploy*")
        page.get_by_role("button", name="last hour").click()
        expect(page.get_by_role("button", name="last hour")).to_have_attribute("aria-pressed", "true")
        assert page.url.endswith("?name=deploy*&since=1h")
        page.reload()
        expect(page.locator("tbody tr")).to_have_count(2)
        trio.from_thread.run(lambda: world.run("web-2", name="deploy three"))
        expect(page.locator("tbody tr")).to_have_count(3)
        page.locator(".chip.held button").click()
        page.get_by_role("button", name="failed").click()
        expect(page.locator("tbody tr")).to_have_count(1)
        page.get_by_role("button", name="Clear filters").click()
        expect(page.locator("tbody tr")).to_have_count(4)
        page.locator("#command").fill("*backup*")
        page.keyboard.press("Enter")
        expect(page.locator("tbody tr")).to_have_count(1)
        page.get_by_role("button", name="Clear filters").click()
        # what is chosen is canceled or deleted, each only where it can be
        page.get_by_label("Choose deploy three").check()
        page.get_by_label("Choose backup").check()
        page.get_by_role("button", name="Delete 1").click()
        expect(page.get_by_role("link", name="backup")).to_have_count(0)
        page.get_by_label("Choose deploy three").check()
        page.get_by_role("button", name="Cancel 1").click()
        expect(
            page.locator("tr", has_text="deploy three")
            .locator("[data-status=canceled]")
            .or_(page.locator("tr", has_text="deploy three"))
        ).to_have_count(1)

    assert await trio.to_thread.run_sync(browse, script, address) == []
    world.shutdown.set()


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
        # the list of its hosts: chosen rows go to the map, where the actions are
        page.get_by_text("All 2 hosts as a list").click()
        page.locator(".list").get_by_label("Choose web-2").check()
        page.get_by_role("button", name="Choose these 1 on the map").click()
        expect(page.get_by_role("button", name="Re-run 1 chosen")).to_be_visible()
        assert violations(page) == []

    assert await trio.to_thread.run_sync(browse, script, address) == []
    world.shutdown.set()


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
        # nothing is lost by going away and coming back
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


@pytest.mark.browser
async def test_keys_lead_everywhere_and_a_field_takes_them_as_text(world: World, nursery: trio.Nursery) -> None:
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
async def test_wide_screens_are_used_and_a_phone_that_is_touched_can_choose(
    world: World, nursery: trio.Nursery
) -> None:
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
async def test_names_that_would_mislead_show_what_is_in_them(world: World, nursery: trio.Nursery) -> None:
    """Right-to-left overrides, zero-width characters and controls stand as their number, wherever a name stands."""
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
