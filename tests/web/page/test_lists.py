"""Lists on the page: sorting, columns, filters, actions on selected rows, export."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
import trio
from playwright.sync_api import Browser, Page, expect

from server.web.page.pages import assets
from tests.web.browser import browse, served, settled, sign_in, violations
from tests.web.world import World


@pytest.mark.browser
async def test_rows_of_hosts_are_sorted_selected_labeled_saved_and_given_a_task(
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
        # columns are selected, and the browser remembers them
        page.get_by_text("Columns", exact=True).click()
        page.get_by_label("Host id").check()
        page.get_by_label("Agent", exact=True).uncheck()
        page.reload()
        settled(page)
        expect(page.get_by_role("columnheader", name="Host id")).to_be_visible()
        expect(page.get_by_role("columnheader", name="Agent")).to_have_count(0)
        # a file of all rows, and of the selected ones
        rows = list(csv.DictReader(io.StringIO(saved(page, "CSV"))))
        assert [row["hostname"] for row in rows] == ["db-1", "web-1", "web-2"] and {
            row["connected"] for row in rows
        } == {"online", "offline"}
        page.get_by_label("Choose web-1").check()
        page.get_by_label("Choose web-2").check()
        assert [host["hostname"] for host in json.loads(saved(page, "JSON"))] == ["web-1", "web-2"]
        assert violations(page) == []
        # labels for the selected rows
        page.locator("#bulk-label").fill("env=prod")
        page.get_by_role("button", name="Set").click()
        expect(page.get_by_text("2 changed")).to_be_visible()
        expect(page.locator("tbody .label", has_text="env=prod")).to_have_count(2)
        page.locator("#bulk-label").fill("env")
        page.get_by_role("button", name="Remove").click()
        expect(page.locator("tbody .label", has_text="env=prod")).to_have_count(0)
        # rows that a filter removes from the list are no longer selected
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
async def test_filters_of_tasks_are_chips_with_presets_and_part_of_the_address(
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
        # selected tasks are canceled or deleted, each only if possible
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
@pytest.mark.parametrize("width", [360, 390, 768, 1280])
async def test_an_open_menu_is_inside_the_page(world: World, nursery: trio.Nursery, width: int) -> None:
    address = await served(world, nursery)

    def script(page: Page, browser: Browser) -> None:
        page.set_viewport_size({"width": width, "height": 900})
        sign_in(page)
        page.goto("/hosts")
        for name in ("Columns", "Export"):
            page.get_by_text(name, exact=True).click()
            menu = page.locator("details.menu[open] > div")
            expect(menu).to_be_visible()
            box = menu.bounding_box()
            assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= width, (name, box)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            page.get_by_text(name, exact=True).click()

    complaints = await trio.to_thread.run_sync(browse, script, address)
    assert not complaints, complaints
