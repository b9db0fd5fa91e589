"""The page over a server that hangs, is killed and is started again: a real server, in Chromium."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.system.rig import INSECURE, Rig
from tests.web.browser import browse, sign_in

AS_OF = re.compile(r"Not connected, as of \d\d:\d\d:\d\d\.")


@pytest.mark.capability("C1")
@pytest.mark.browser
def test_a_page_shows_that_its_server_is_down_and_continues_with_the_next_one(
    make_rig: Callable[..., Rig],
) -> None:
    rig = make_rig(INSECURE, "http.event_beat=0.5")
    rig.start_server()
    rig.start_agents("web-1")
    token = (rig.data / "admin.token").read_text().strip()

    def script(page: Page, browser: Browser) -> None:
        sign_in(page, token)
        page.goto("/new")
        page.locator("#text").fill("echo typed before")
        page.goto("/tasks")
        page.evaluate("window.same = true")
        rig.run(command="echo one", name="one")
        expect(page.get_by_role("link", name="one")).to_be_visible()
        expect(page.locator("#link")).to_be_hidden()
        # it hangs: nothing is said, no connection breaks
        assert rig.server is not None
        rig.server.popen.send_signal(signal.SIGSTOP)
        expect(page.locator("#link")).to_contain_text(AS_OF, timeout=15_000)
        assert "stale" in str(page.evaluate("document.body.className")).split()
        expect(page.get_by_role("link", name="one")).to_be_visible()
        rig.server.popen.send_signal(signal.SIGCONT)
        expect(page.locator("#link")).to_be_hidden(timeout=15_000)
        rig.run(command="echo two", name="two")
        expect(page.get_by_role("link", name="two")).to_be_visible()
        # it is killed, and stays away
        rig.server.kill()
        expect(page.locator("#link")).to_contain_text(AS_OF, timeout=15_000)
        page.wait_for_timeout(3_000)
        expect(page.locator("#link")).to_contain_text(AS_OF)
        # another one starts: it knows no session of before, which is said; the page itself is not loaded anew
        rig.start_server()
        expect(page.locator("#link")).to_contain_text("You are signed out.", timeout=20_000)
        rig.run(command="echo three", name="three")
        page.locator("#again-token").fill(token)
        page.locator("#link button.primary").click()
        expect(page.locator("#link")).to_be_hidden()
        expect(page.get_by_role("link", name="three")).to_be_visible()
        assert page.evaluate("window.same")
        page.goto("/new")
        expect(page.locator("#text")).to_have_value("echo typed before")

    complaints = browse(script, f"http://127.0.0.1:{rig.http_port}")
    assert all("ERR_" in line or "Failed to load resource" in line for line in complaints), complaints
