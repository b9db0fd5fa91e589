"""A host's page: renaming, deleting, and lost executions."""

from __future__ import annotations

import re

import pytest
import trio
from playwright.sync_api import Browser, Page, expect

from server.core.effects import SaveLate, SaveOrphan
from tests.store.make import new_id, output
from tests.web.browser import browse, served, sign_in, violations
from tests.web.world import World


@pytest.mark.browser
async def test_a_host_is_renamed_and_deleted_after_confirmation_and_its_old_address_works(
    world: World, nursery: trio.Nursery
) -> None:
    address = await served(world, nursery)
    asked: list[str] = []

    def script(page: Page, browser: Browser) -> None:
        sign_in(page)
        page.on("dialog", lambda dialog: asked.append(dialog.message))
        page.goto("/hosts/db-1")
        page.locator("#hostname").fill("db-main")
        page.get_by_role("button", name="Rename").click()
        expect(page.locator("h1")).to_have_text("db-main")
        assert re.match("Rename db-1 to db-main", asked[-1])
        # the address contains the old name, and the page works
        page.locator("#label").fill("role=db")
        page.get_by_role("button", name="Add").click()
        expect(page.locator(".chips")).to_contain_text("role=db")
        # a name that another host has, and an invalid one, are reported at the field
        for name, why in (("web-1", "exists"), ("web*", "cannot be a host's name")):
            page.locator("#hostname").fill(name)
            page.get_by_role("button", name="Rename").click()
            expect(page.locator("#hostname-wrong")).to_contain_text(why)
            expect(page.locator("h1")).to_have_text("db-main")
        assert violations(page) == []
        page.get_by_role("button", name="Delete").click()
        page.wait_for_url("**/hosts")
        expect(page.get_by_role("link", name="web-1")).to_be_visible()
        expect(page.get_by_role("link", name="db-main")).to_have_count(0)
        # an online host cannot be deleted
        page.goto("/hosts/web-1")
        expect(page.locator("#hostname")).to_be_visible()
        expect(page.get_by_role("button", name="Delete")).to_have_count(0)

    complaints = await trio.to_thread.run_sync(browse, script, address)
    assert all("Failed to load resource" in line for line in complaints), complaints
    world.shutdown.set()


@pytest.mark.browser
@pytest.mark.parametrize(
    ("language", "title", "remove"),
    [
        ("en-GB", "Executions that the database has lost", "Delete these records"),
        ("zh-CN", "数据库丢失的执行", "删除这些记录"),
    ],
)
async def test_executions_that_the_database_has_lost_are_shown_and_deleted(
    world: World, nursery: trio.Nursery, language: str, title: str, remove: str
) -> None:
    address = await served(world, nursery)
    host, other = world.ids["web-1"], world.ids["web-2"]
    said = output(b"what it <b>said</b>\n")
    report = {
        "attempt": 1,
        "outcome": "completed",
        "exit_code": 0,
        "stdout_id": said.output_id.hex(),
        "stderr_id": None,
    }
    ended = new_id()
    await world.writer.commit(
        [
            SaveOrphan(host, ended, 1, 30, 7, 3),
            SaveOrphan(host, new_id(), 1, 30, 8, 2),
            SaveOrphan(other, new_id(), 1, 30, 9, 1),
        ]
    )
    await world.writer.commit([SaveLate(host, ended, 1, 50, 40, report, (said,))])

    def script(page: Page, browser: Browser) -> None:
        sign_in(page)
        page.goto("/hosts/web-1")
        box = page.get_by_role("region", name=title)
        expect(box.locator("dd")).to_have_count(2)
        expect(box).to_contain_text(
            "running when the host reported it" if language == "en-GB" else "主机报告时正在运行"
        )
        box.locator("summary").click()
        expect(box.locator("pre")).to_have_text("what it <b>said</b>")
        assert violations(page) == []
        box.get_by_role("button", name=remove).click()
        expect(box).to_have_count(0)
        page.goto("/hosts/web-2")
        expect(page.get_by_role("region", name=title).locator("dd")).to_have_count(1)
        page.goto("/hosts/db-1")
        expect(page.locator("#hostname")).to_be_visible()
        expect(page.get_by_role("region", name=title)).to_have_count(0)

    assert await trio.to_thread.run_sync(lambda: browse(script, address, locale=language)) == []
    world.shutdown.set()
