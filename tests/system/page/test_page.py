"""An operator's work in a real browser, with a real server and three real agents."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.system.rig import INSECURE, Rig, until
from tests.web.browser import browse, settled, sign_in


def script_for(folder: Path) -> str:
    """A script for three hosts. It fails on one of them until the file `healed` exists."""
    return (
        f"#!/bin/sh\necho common\nif mkdir {folder}/first 2>/dev/null && [ ! -e {folder}/healed ]; then echo odd "
        f"one out; exit 3; fi\necho fine\n"
    )


@pytest.mark.capability("C1", "P5")
@pytest.mark.browser
def test_create_watch_groups_diff_cancel_and_run_again_with_real_agents(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(INSECURE)
    rig.start_server()
    rig.start_agents("web-1", "web-2", "web-3")
    gate = rig.folder / "gate"

    def run(page: Page, what: str, text: str) -> None:
        page.goto("/new")
        page.locator(f"input[value={what}]").check()
        page.locator("#text").fill(text)
        page.locator("#targets").fill("web*")
        expect(page.locator("#preview")).to_contain_text("3 hosts")
        page.get_by_role("button", name="Show the plan").click()
        expect(page.locator(".plan")).to_contain_text("Runs on 3 hosts")
        page.get_by_role("button", name="Run now").click()
        page.wait_for_url("**/tasks/*")

    def script(page: Page, browser: Browser) -> None:
        sign_in(page, (rig.data / "admin.token").read_text().strip())
        # create a task and watch it live, without reloading
        run(
            page,
            "script",
            script_for(rig.folder).replace(
                "echo common\n", f"echo at the gate\nwhile [ ! -e {gate} ]; do sleep 0.05; done\necho common\n"
            ),
        )
        expect(page.locator("[data-count=running]")).to_contain_text("3")
        expect(page.locator("[data-status=running]")).to_be_visible()
        # the output of one host while it runs, opened from the map by keyboard
        page.locator("ul.hosts button").first.focus()
        page.keyboard.press("End")
        page.keyboard.press("Enter")
        expect(page.locator(".answer h3")).to_have_text("web-3")
        expect(page.locator(".live pre")).to_have_text("at the gate")
        gate.touch()
        expect(page.locator(".answer > .output pre")).to_contain_text("at the gate\ncommon")
        expect(page.locator("[data-status=failed]")).to_be_visible()
        expect(page.locator("[data-count=completed]")).to_contain_text("2")
        # groups, and the difference of the unusual one
        expect(page.locator("[data-group]")).to_have_count(2)
        expect(page.locator("[data-group]").first).to_contain_text("2 hosts")
        page.get_by_role("button", name="Difference from the largest").click()
        expect(page.locator(".diff .removed", has_text="-fine")).to_be_visible()
        expect(page.locator(".diff .added", has_text="+odd one out")).to_be_visible()
        # run again on the failed host only
        (rig.folder / "healed").touch()
        page.get_by_role("button", name="Re-run 1 unsuccessful").click()
        expect(page.get_by_text("some of the hosts of")).to_be_visible()
        expect(page.locator("[data-status=completed]")).to_be_visible()
        expect(page.locator("[data-count=completed]")).to_contain_text("1")
        # cancel one host, then the rest
        run(page, "command", "exec sleep 600")
        expect(page.locator("[data-count=running]")).to_contain_text("3")
        page.locator("ul.hosts button").first.focus()
        page.keyboard.press("Home")
        page.keyboard.press(" ")
        page.get_by_role("button", name="Cancel 1 chosen").click()
        expect(page.locator("[data-count=canceled]")).to_contain_text("1")
        expect(page.locator("[data-count=running]")).to_contain_text("2")
        page.get_by_role("button", name="Cancel", exact=True).click()
        expect(page.locator("[data-status=canceled]")).to_be_visible()
        expect(page.locator("[data-count=canceled]")).to_contain_text("3")
        # the host's history lists everything
        page.goto("/hosts")
        page.get_by_role("link", name="web-1").click()
        settled(page)
        expect(page.get_by_role("row", name="sleep 600")).to_contain_text("canceled")
        # a host that goes offline is shown as offline
        rig.agents["web-2"].kill()
        page.goto("/")
        expect(page.get_by_text("of 3 hosts online").locator("..")).to_contain_text("2")

    assert browse(script, f"http://127.0.0.1:{rig.http_port}") == []
    until("no command is left", lambda: not rig.commands())
