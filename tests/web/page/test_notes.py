"""Notes appear on the page, for a host and for its group, in both languages."""

from __future__ import annotations

import pytest
import trio
from playwright.sync_api import Browser, Page, expect

from proto.notes import NOTES
from tests.web.browser import browse, served, sign_in, violations
from tests.web.test_notes import reported
from tests.web.world import World

REPORT: dict[str, object] = {
    "leftovers_killed": 3,
    "pipe_held": True,
    "kill": {"reason": "canceled", "term_at_ms": 1, "kill_at_ms": 2, "tree_empty": False},
    "oom_killed": 1,
}
CODES = ("leftovers_killed", "pipe_held", "may_still_run", "oom_killed")


@pytest.mark.browser
@pytest.mark.parametrize("language", ["en-GB", "zh-CN"])
async def test_each_note_is_a_sentence_with_a_remedy(world: World, nursery: trio.Nursery, language: str) -> None:
    address = await served(world, nursery)
    task = await reported(world, web_1=dict(REPORT), web_2={"left_running": 2}, db_1={})

    def script(page: Page, browser: Browser) -> None:
        sign_in(page)
        page.goto(f"/tasks/{task['task_id']}?host={world.ids['web-1']}")
        panel = page.locator(".answer")
        expect(panel.locator("[data-note]")).to_have_count(len(CODES))
        for code in CODES:
            for text in NOTES[code].texts("zh-CN" if language == "zh-CN" else "en"):
                expect(panel.locator(f"[data-note={code}]")).to_contain_text(text)
        expect(panel.locator("[data-note=leftovers_killed]")).to_contain_text("3")
        expect(page.locator("[data-group] [data-note=left_running]")).to_be_visible()
        assert violations(page) == []

    assert await trio.to_thread.run_sync(lambda: browse(script, address, locale=language)) == []
    world.shutdown.set()
