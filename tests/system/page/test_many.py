"""An operator's work with many hosts: real server, simulated agents and one real agent, Chromium. `make page-10000`
uses ten thousand hosts."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, expect

from loadtest.files import limit, split
from loadtest.options import ExistingServer
from loadtest.site.fleet import Fleet
from loadtest.site.target import ExistingTarget
from tests.system.rig import INSECURE, Rig, until
from tests.web.browser import LONG, Received, browse, sign_in

HOSTS = int(os.environ.get("PAGE_HOSTS", "200"))
SECONDS = float(os.environ.get("PAGE_SECONDS", "2"))
"""Seconds within which the simulated hosts answer, one after the other."""
INTERACTIVE_S, BYTES, LONG_MS = 2.0, 1_000_000, 100
"""Limits of a task's page: seconds until it responds, bytes transferred, and milliseconds without a response during
updates. Times are checked only if the test has the machine to itself, as with `make page-10000`."""
JUDGED = HOSTS >= 10_000
ODD = -(-HOSTS // 7)
"""Number of hosts that fail; see loadtest/swarm/commands.py."""


@contextmanager
def simulated(rig: Rig) -> Iterator[Fleet]:
    files = limit()
    where = ExistingServer(
        f"http://127.0.0.1:{rig.http_port}",
        rig.data / "admin.token",
        "127.0.0.1",
        rig.agent_port,
        rig.data / "join.token",
    )
    fleet = Fleet(ExistingTarget(where), split(HOSTS, files, None), seed=1, folder=rig.folder)
    try:
        fleet.dial()
        until(f"{HOSTS} simulated hosts are connected", lambda: fleet.connected == HOSTS, within=120)
        yield fleet
    finally:
        fleet.close()


class Clock:
    """Durations of the steps, for the log."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    def took(self, what: str) -> None:
        now = time.monotonic()
        print(f"{HOSTS} hosts: {now - self._since:6.2f} s  {what}")
        self._since = time.monotonic()


def opened(page: Page, address: str) -> float:
    """Open a task's page with an empty browser cache. Returns the seconds until its map of hosts responds to a key."""
    began = time.monotonic()
    page.goto(address)
    expect(page.locator("#map-here")).to_contain_text("sim-000000")
    page.locator(".map canvas").focus()
    page.keyboard.press("End")
    expect(page.locator("#map-here")).to_contain_text(f"sim-{HOSTS - 1:06}")
    return time.monotonic() - began


def n(count: int) -> str:
    return f"{count:,}"


def create(page: Page, targets: str, command: str, hosts: int) -> None:
    page.goto("/new")
    page.locator("#text").fill(command)
    page.locator("#targets").fill(targets)
    expect(page.locator("#preview")).to_contain_text(f"{n(hosts)} hosts")
    page.get_by_role("button", name="Show the plan").click()
    expect(page.locator(".plan")).to_contain_text(f"Runs on {n(hosts)} hosts. Offline: 0.")


@pytest.mark.capability("C1")
@pytest.mark.browser
@pytest.mark.timeout(900)
def test_create_watch_groups_diff_cancel_and_run_again_with_many_hosts(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(INSECURE)
    limit()
    rig.start_server()
    rig.start_agents("real-1")
    gate = rig.folder / "gate"
    counting = rig.run(
        targets=["real-1"], command=f"i=0; while [ ! -e {gate} ]; do i=$((i+1)); echo line $i; sleep 0.05; done"
    )

    def script(page: Page, browser: Browser) -> None:
        sign_in(page, (rig.data / "admin.token").read_text().strip())
        page.add_init_script(LONG)
        clock = Clock()
        create(page, "sim-*", f"mixed {SECONDS:g}", HOSTS)
        clock.took("preview and plan")
        # run, and watch the map while the hosts answer
        page.get_by_role("button", name="Run now").click()
        page.wait_for_url("**/tasks/*")
        expect(page.locator("#map-here")).to_contain_text("sim-000000")
        clock.took("from the click on Run to the map of all hosts")
        first = page.url
        # opened with an empty browser cache while the hosts answer
        page.goto("about:blank")
        page.context.new_cdp_session(page).send("Network.clearBrowserCache")
        received = Received(page)
        interactive = opened(page, first)
        loading, loaded = page.evaluate("longs.splice(0)"), received.total
        clock.took(
            f"for a first look: interactive after {interactive:.2f} s and {loaded:,} bytes; long tasks "
            f"meanwhile: {loading} ms"
        )
        # meanwhile a real host's output, live in another tab
        elsewhere = browser.new_context(
            base_url=f"http://127.0.0.1:{rig.http_port}", storage_state=page.context.storage_state(), locale="en-GB"
        )
        other = elsewhere.new_page()
        other.goto(f"/tasks/{counting}")
        other.locator("ul.hosts button").first.click()
        tail = other.locator(".live pre")
        expect(tail).to_contain_text("line 1\n")
        seen = len(tail.inner_text().splitlines())
        expect(page.locator("[data-status=failed]")).to_be_visible(timeout=SECONDS * 1000 + 60_000)
        clock.took(f"until the last of them had answered; they take {SECONDS:g} s")
        longs, transferred = page.evaluate("longs"), received.total
        print(f"{HOSTS} hosts: {transferred:,} bytes until the end; long tasks while they answered: {longs} ms")
        assert transferred <= BYTES
        if JUDGED:
            assert interactive <= INTERACTIVE_S
            assert max(longs, default=0) <= LONG_MS
        expect(page.locator("[data-count=failed]")).to_contain_text(n(ODD))
        expect(page.locator("[data-count=completed]")).to_contain_text(n(HOSTS - ODD))
        until("the real host's output went on", lambda: len(tail.inner_text().splitlines()) > seen + 5)
        gate.touch()
        expect(other.locator(".answer > .output pre")).to_contain_text("line 1\n")
        wrote = other.locator(".answer > .output pre").inner_text().split("\n")
        lines = [line for line in wrote if line]
        assert lines == [f"line {number}" for number in range(1, len(lines) + 1)]
        elsewhere.close()
        clock.took("with the real host's output")
        # three groups, and how the unusual ones differ
        expect(page.locator("[data-group]")).to_have_count(3)
        expect(page.locator("[data-group]").first).to_contain_text("common")
        odd = page.locator("[data-group]", has_text="odd one out")
        expect(odd).to_contain_text(f"{n(ODD)} hosts")
        odd.get_by_role("button", name="Difference from the largest").click()
        expect(odd.locator(".diff .added")).to_contain_text("+odd one out")
        clock.took("groups and a difference")
        # cancel one host, then all others
        create(page, "sim-*", "sleep 600", HOSTS)
        page.get_by_role("button", name="Run now").click()
        page.wait_for_url("**/tasks/*")
        expect(page.locator("[data-count=running]")).to_contain_text(n(HOSTS), timeout=60_000)
        page.locator(".map canvas").focus()
        page.keyboard.press("End")
        page.keyboard.press(" ")
        clock.took("another task runs on all")
        page.get_by_role("button", name="Cancel 1 chosen").click()
        expect(page.locator("[data-count=canceled]")).to_have_text(re.compile(r"canceled 1$"))
        clock.took("one canceled")
        page.get_by_role("button", name="Cancel", exact=True).click()
        expect(page.locator("[data-status=canceled]")).to_be_visible(timeout=60_000)
        expect(page.locator("[data-count=canceled]")).to_contain_text(n(HOSTS))
        clock.took("all canceled")
        # run again on the hosts that failed, and only on these
        page.goto(first)
        page.get_by_role("button", name=f"Re-run {n(ODD)} unsuccessful").click()
        expect(page.get_by_text("some of the hosts of")).to_be_visible()
        expect(page.locator("[data-status=failed]")).to_be_visible(timeout=SECONDS * 1000 + 60_000)
        expect(page.locator("[data-count=failed]")).to_contain_text(n(ODD))
        expect(page.locator("[data-count=completed]")).to_have_count(0)
        clock.took(f"the {ODD} that failed, again")

    with simulated(rig):
        assert browse(script, f"http://127.0.0.1:{rig.http_port}") == []
