"""Host sets on the page of hosts: made from the selector in use, used, changed, refused in place, and deleted."""

from __future__ import annotations

import os

import pytest
import trio
from playwright.sync_api import Browser, Page, expect

from server.core.selectors.host_sets import HostSets
from tests.web.browser import browse, served, sign_in, violations
from tests.web.world import World


@pytest.mark.browser
async def test_a_set_is_made_used_changed_and_deleted(world: World, nursery: trio.Nursery) -> None:
    address = await served(world, nursery)
    pictures = os.environ.get("CLARION_PICTURES")

    def script(page: Page, browser: Browser) -> None:
        sign_in(page)
        page.goto("/hosts?select=web*")
        page.get_by_text("Host sets · 0").click()
        page.get_by_role("button", name="New set").click()
        expect(page.locator("#set-selector")).to_have_value("web*")
        page.locator("#set-name").fill("Web")
        page.get_by_role("button", name="Save").click()
        expect(page.locator("#set-name-wrong")).to_contain_text("lower-case")
        page.locator("#set-name").fill("@web")
        page.locator("#set-description").fill("the front")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("link", name="@web")).to_be_visible()
        page.get_by_role("button", name="New set").click()
        page.locator("#set-name").fill("all-web")
        page.locator("#set-selector").fill("@wev")
        page.get_by_role("button", name="Save").click()
        expect(page.locator("#set-selector-wrong")).to_contain_text("Did you mean @web?")
        page.locator("#set-selector").fill("@web and online")
        page.get_by_role("button", name="Save").click()
        expect(page.locator("details.sets")).to_contain_text("used by @all-web")
        assert violations(page) == []
        for width in (1280, 2200, 390):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
            if pictures:
                page.screenshot(path=f"{pictures}/sets-{width}.png", full_page=True)
        page.set_viewport_size({"width": 1180, "height": 860})
        page.get_by_role("link", name="@web", exact=True).click()
        expect(page.locator("#select")).to_have_value("@web")
        expect(page.locator("tbody tr")).to_have_count(2)
        page.get_by_role("button", name="Delete @web", exact=True).click()
        expect(page.locator("details.sets .problem")).to_contain_text("@all-web")
        page.get_by_role("button", name="Change @all-web").click()
        page.locator("#set-selector").fill("web-1")
        page.get_by_role("button", name="Save").click()
        expect(page.locator("details.sets")).not_to_contain_text("used by")
        page.get_by_role("button", name="Delete @web", exact=True).click()
        expect(page.get_by_role("link", name="@web", exact=True)).to_have_count(0)

    complaints = await trio.to_thread.run_sync(browse, script, address)
    assert all("Failed to load resource" in line for line in complaints), complaints
    assert [one.name for one in world.deps.records.of(HostSets).all()] == ["all-web"]
    world.shutdown.set()


@pytest.mark.capability("R8")
@pytest.mark.browser
async def test_a_list_is_made_and_keeps_its_hosts_until_its_text_is_changed(
    world: World, nursery: trio.Nursery
) -> None:
    address = await served(world, nursery)

    def script(page: Page, browser: Browser) -> None:
        sign_in(page)
        page.goto("/hosts?select=web*")
        page.get_by_text("Host sets · 0").click()
        page.get_by_role("button", name="New set").click()
        page.locator("#set-name").fill("some")
        page.locator("#set-kind").select_option("hosts")
        page.locator("#set-selector").fill("nothing-here")
        page.get_by_role("button", name="Save").click()
        expect(page.locator("#set-selector-wrong")).to_contain_text("nothing-here")
        page.locator("#set-selector").fill("web-1, db-1")
        page.get_by_role("button", name="Save").click()
        expect(page.locator("details.sets")).to_contain_text("2 hosts")
        page.get_by_role("button", name="Change @some").click()
        expect(page.locator("#set-kind")).to_have_value("hosts")
        expect(page.locator("#set-selector")).to_have_value("db-1,web-1")
        assert violations(page) == []
        page.locator("#set-description").fill("two")
        page.get_by_role("button", name="Save").click()
        expect(page.locator("details.sets")).to_contain_text("two")
        page.get_by_role("button", name="Change @some").click()
        page.locator("#set-selector").fill("web-2")
        page.get_by_role("button", name="Save").click()
        expect(page.locator("details.sets")).to_contain_text("1 host")
        page.get_by_role("button", name="Change @some").click()
        expect(page.locator("#set-selector")).to_have_value("web-2")
        page.locator("#set-kind").select_option("selector")
        page.locator("#set-selector").fill("web-2 or online")
        page.get_by_role("button", name="Save").click()
        expect(page.locator("details.sets")).to_contain_text("web-2 or online")

    complaints = await trio.to_thread.run_sync(browse, script, address)
    assert all("Failed to load resource" in line for line in complaints), complaints
    (made,) = world.deps.records.of(HostSets).all()
    assert (made.selector, made.hosts, made.version) == ("web-2 or online", (), 4)
    world.shutdown.set()


@pytest.mark.browser
async def test_the_sets_are_there_in_chinese(world: World, nursery: trio.Nursery) -> None:
    address = await served(world, nursery)
    await world.post("/api/v1/sets", {"name": "web", "hosts": ["web-1"]})

    def script(page: Page, browser: Browser) -> None:
        sign_in(page)
        page.goto("/hosts")
        page.get_by_text("主机集 · 1").click()
        expect(page.locator("details.sets")).to_contain_text("1 台主机")

    assert await trio.to_thread.run_sync(lambda: browse(script, address, locale="zh-CN")) == []
    world.shutdown.set()
