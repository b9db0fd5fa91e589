"""Every page at once, and what is going on in it, over a server that hangs, is killed and is started again: a real
server and agents, in Chromium."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.system.rig import INSECURE, Rig, until
from tests.web.browser import browse, sign_in

AS_OF = re.compile(r"Not connected, as of \d\d:\d\d:\d\d\.")
OUT = "You are signed out."
LONG = 20_000


def stop(rig: Rig) -> None:
    assert rig.server is not None
    rig.server.popen.send_signal(signal.SIGSTOP)


def go_on(rig: Rig) -> None:
    assert rig.server is not None
    rig.server.popen.send_signal(signal.SIGCONT)


def tab(page: Page, browser: Browser, path: str) -> Page:
    """Another tab with the same session. A context of its own, as a browser has six connections to one server for all
    tabs of a context."""
    made = browser.new_context(
        base_url=page.url.rsplit("/", 1)[0],
        storage_state=page.context.storage_state(),
        locale="en-GB",
        reduced_motion="reduce",
    ).new_page()
    made.set_default_timeout(LONG)
    made.on("dialog", lambda dialog: dialog.accept())
    made.goto(path)
    expect(made.locator("main h1")).to_be_visible()
    made.evaluate("window.same = true")
    return made


def sign_in_again(page: Page, token: str) -> None:
    page.locator("#again-token").fill(token)
    page.locator("#link button.primary").click()
    expect(page.locator("#link")).to_be_hidden(timeout=LONG)


def quiet(complaints: list[str]) -> bool:
    return all("ERR_" in line or "Failed to load resource" in line for line in complaints)


@pytest.mark.browser
def test_every_page_shows_and_survives_a_hanging_and_a_killed_server(
    make_rig: Callable[..., Rig],
) -> None:
    rig = make_rig(INSECURE, "http.event_beat=0.5")
    rig.start_server()
    rig.start_agents("web-1", "web-2")
    token = (rig.data / "admin.token").read_text().strip()
    gate = rig.folder / "gate"
    task = rig.run(
        name="at the gate",
        command=f"i=0; while [ ! -e {gate} ]; do i=$((i+1)); echo line $i; sleep 0.1; done; echo done",
    )
    web1 = rig.json("GET", "/hosts/web-1")["host_id"]
    at = f"/tasks/{task}?host={web1}"

    def script(page: Page, browser: Browser) -> None:
        sign_in(page, token)
        paths = ["/", "/tasks", "/hosts", f"/hosts/{web1}", at, "/new", "/help"]
        tabs = {path: tab(page, browser, path) for path in paths}
        follows, form = tabs[at], tabs["/new"]
        form.locator("#text").fill("echo typed")
        form.locator("#targets").fill("web*")
        expect(form.locator("#preview")).to_contain_text("2 hosts")
        expect(follows.locator(".live pre")).to_contain_text("line 3")
        follows.locator("details.list > summary").click()
        expect(follows.locator("details.list tbody tr")).to_have_count(2)
        for one in tabs.values():
            expect(one.locator("#link")).to_be_hidden()
            expect(one.locator("#who")).to_have_text("Signed in as admin")
        # it hangs
        stop(rig)
        for path, one in tabs.items():
            expect(one.locator("#link")).to_contain_text(AS_OF, timeout=LONG)
            assert "stale" in str(one.evaluate("document.body.className")).split(), path
        expect(follows.locator("[data-live=on]")).to_have_count(0)
        go_on(rig)
        for one in tabs.values():
            expect(one.locator("#link")).to_be_hidden(timeout=LONG)
        expect(follows.locator("[data-live=on]")).to_be_visible()
        # it is killed, and a host ends and another one goes meanwhile
        assert rig.server is not None
        rig.server.kill()
        for path, one in tabs.items():
            expect(one.locator("#link")).to_contain_text(AS_OF, timeout=LONG)
            assert one.locator("main .problem", has_text="by itself").count() == 0, path
        rig.agents["web-2"].kill()
        rig.start_server()
        rig.wait_connected(1)
        for path, one in tabs.items():
            expect(one.locator("#link")).to_contain_text(OUT, timeout=LONG)
            expect(one.locator("#who")).to_be_hidden()
            assert "stale" in str(one.evaluate("document.body.className")).split(), path
        # what is done now fails in words, and nothing typed is lost
        form.get_by_role("button", name="Show the plan").click()
        for path, one in tabs.items():
            sign_in_again(one, token)
            expect(one.locator("#who")).to_have_text("Signed in as admin")
            assert one.evaluate("window.same"), path
        expect(follows.locator("[data-live=on]")).to_be_visible()
        expect(follows.locator("[data-count=running]")).to_contain_text("running 2")
        expect(follows.locator("ul.hosts li[data-host=web-2]")).to_contain_text("offline")
        expect(tabs["/"].get_by_text("of 2 hosts online").locator("..")).to_contain_text("1")
        expect(tabs["/hosts"].locator("tbody tr", has_text="web-2")).to_contain_text("offline")
        expect(tabs[f"/hosts/{web1}"].locator("main > .top .pill")).to_contain_text("online")
        expect(form.locator("#preview")).to_contain_text("1 of them offline")
        assert form.locator("#text").input_value() == "echo typed"
        # what ended while it was dead is told when it is back; a page that was told to read again says what is so
        rig.server.kill()
        gate.touch()
        rig.start_server()
        rig.start_agent("web-2")
        rig.wait_final(task)
        # a page without a stream need not have noticed so short a break; it looks when it is looked at
        tabs["/help"].evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        for one in tabs.values():
            expect(one.locator("#link")).to_contain_text(OUT, timeout=LONG)
            sign_in_again(one, token)
        expect(follows.locator(".answer > .output pre")).to_contain_text("done")
        expect(follows.locator("main > .top [data-status=completed]")).to_be_visible()
        expect(follows.locator("details.list tbody tr", has_text="completed")).to_have_count(2)
        expect(tabs["/tasks"].locator("tbody [data-status=completed]")).to_be_visible()
        expect(tabs[f"/hosts/{web1}"].locator("tbody tr", has_text="at the gate")).to_contain_text("completed")
        for path, one in tabs.items():
            assert one.evaluate("window.same"), path
            expect(one.locator("main .problem")).to_have_count(0)

    assert quiet(browse(script, f"http://127.0.0.1:{rig.http_port}"))


@pytest.mark.browser
def test_an_action_during_a_failure_of_the_server_is_done_once_or_reported_as_open(
    make_rig: Callable[..., Rig],
) -> None:
    rig = make_rig(INSECURE, "http.event_beat=0.5")
    rig.start_server()
    rig.start_agents("web-1")
    token = (rig.data / "admin.token").read_text().strip()

    def plan(page: Page, text: str) -> None:
        page.goto("/new")
        page.locator("#text").fill(text)
        expect(page.locator("#preview")).to_contain_text("1 host")
        page.get_by_role("button", name="Show the plan").click()
        expect(page.get_by_role("button", name="Run now")).to_be_visible()

    def named(text: str) -> int:
        return len(rig.json("GET", "/tasks", params={"name": text})["items"])

    def script(page: Page, browser: Browser) -> None:
        # signing in at a server that hangs, and at one that is gone
        page.goto("/login")
        page.locator("#token").fill(token)
        stop(rig)
        page.locator("button.primary").click()
        expect(page.get_by_text("waiting for the server")).to_be_visible()
        go_on(rig)
        page.wait_for_url("**/")
        sign_in(page, token)
        # creating: it hangs for longer than the page waits, and the page is asked again
        plan(page, "echo created once")
        stop(rig)
        page.get_by_role("button", name="Run now").click()
        expect(page.locator("#link")).to_contain_text(AS_OF, timeout=LONG)
        expect(page.locator("form .problem", has_text="only once").first).to_be_visible(timeout=40_000)
        go_on(rig)
        expect(page.locator("#link")).to_be_hidden(timeout=LONG)
        assert named("echo created once") <= 1
        # a tab that is loaded anew meanwhile knows its request, too
        page.reload()
        expect(page.locator("#preview")).to_contain_text("1 host")
        page.get_by_role("button", name="Show the plan").click()
        page.get_by_role("button", name="Run now").click()
        page.wait_for_url("**/tasks/*")
        assert named("echo created once") == 1
        # creating: it is killed
        plan(page, "echo created after")
        assert rig.server is not None
        rig.server.kill()
        page.get_by_role("button", name="Run now").click()
        expect(page.locator("form .problem", has_text="The server did not answer").first).to_be_visible()
        rig.start_server()
        expect(page.locator("#link")).to_contain_text(OUT, timeout=LONG)
        sign_in_again(page, token)
        rig.wait_connected(1)
        expect(page.locator("#preview")).not_to_contain_text("offline")
        page.get_by_role("button", name="Show the plan").click()
        page.get_by_role("button", name="Run now").click()
        page.wait_for_url("**/tasks/*")
        assert named("echo created after") == 1
        # canceling: it is killed, and after signing in again the same page goes on
        plan(page, "exec sleep 600")
        page.get_by_role("button", name="Run now").click()
        page.wait_for_url("**/tasks/*")
        expect(page.locator("[data-count=running]")).to_contain_text("running 1")
        where = page.url
        rig.server.kill()
        page.get_by_role("button", name="Cancel", exact=True).click()
        expect(page.locator("main .problem", has_text="The server did not answer").first).to_be_visible()
        rig.start_server()
        rig.wait_connected(1)
        expect(page.locator("#link")).to_contain_text(OUT, timeout=LONG)
        sign_in_again(page, token)
        assert page.url == where
        expect(page.locator("[data-count=running]")).to_contain_text("running 1")
        stop(rig)
        page.get_by_role("button", name="Cancel", exact=True).click()
        expect(page.locator("#link")).to_contain_text(AS_OF, timeout=LONG)
        go_on(rig)
        expect(page.locator("[data-status=canceled]")).to_be_visible(timeout=LONG)
        expect(page.locator("main .problem")).to_have_count(0)
        # a page that is loaded anew after a restart asks for a token, and comes back to where it was
        rig.server.kill()
        rig.start_server()
        page.goto(f"{where}?host=web-1")
        page.wait_for_url("**/login?next=*")
        page.locator("#token").fill(token)
        page.locator("button.primary").click()
        page.wait_for_url(f"{where}?host=web-1")
        expect(page.locator("main h1")).to_have_text("exec sleep 600")

    assert quiet(browse(script, f"http://127.0.0.1:{rig.http_port}"))
    until("no command is left", lambda: not rig.commands())
