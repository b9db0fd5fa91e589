"""Chromium for tests. It reports errors of the page, such as violations of the content policy."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import trio
from playwright.sync_api import Browser, Page, expect, sync_playwright

from server.web.app import serve
from tests.web.world import ADMIN, World

AXE = Path(__file__).parent / "vendor" / "axe.js"
SERIOUS = ("serious", "critical")
Script = Callable[[Page, Browser], None]


LONG = (
    "window.longs = []; new PerformanceObserver((list) => { for (const one of list.getEntries()) "
    "longs.push(Math.round(one.duration)); }).observe({type: 'longtask', buffered: true})"
)
"""Script for the beginning of a page: `longs` collects the milliseconds of each task that blocked it for more than 50
(https://www.w3.org/TR/longtasks-1/)."""


class Received:
    """Counts the bytes that a page receives from now on."""

    def __init__(self, page: Page) -> None:
        network, self._sizes = page.context.new_cdp_session(page), Counter[str]()
        network.send("Network.enable")
        # an event stream never finishes, so its bytes are counted as they arrive
        network.on("Network.dataReceived", lambda event: self._sizes.update({event["requestId"]: event["dataLength"]}))
        network.on(
            "Network.loadingFinished",
            lambda event: self._sizes.__setitem__(event["requestId"], int(event["encodedDataLength"])),
        )

    @property
    def total(self) -> int:
        return self._sizes.total()


def chromium() -> str:
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    assert path is not None, "these tests need Chromium: apt-get install chromium"
    return path


def browse(script: Script, address: str, **context: Any) -> list[str]:
    """Run `script` in a new browser. Returns what the browser complained about, including violations of the content
    policy."""
    complaints: list[str] = []
    # trio-asyncio, once imported, forbids asyncio loops outside trio; playwright uses its own.
    with mock.patch("asyncio.new_event_loop", asyncio.SelectorEventLoop), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        # measurements in the middle of a transition differ from what is shown
        context.setdefault("reduced_motion", "reduce")
        page = browser.new_page(
            base_url=address, viewport={"width": 1180, "height": 860}, locale=context.pop("locale", "en-GB"), **context
        )
        page.set_default_timeout(15_000)
        expect.set_options(timeout=15_000)
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: dialog.accept())
        script(page, browser)
        browser.close()
    return complaints


async def served(world: World, nursery: trio.Nursery) -> str:
    host, port = await nursery.start(
        partial(serve, world.app, "127.0.0.1", 0, shutdown=world.shutdown, live=world.live, limits=world.deps.limits)
    )
    return f"http://{host}:{port}"


def sign_in(page: Page, token: str = ADMIN.text) -> None:
    page.goto("/login")
    page.locator("#token").fill(token)
    page.locator("button.primary").click()
    page.wait_for_url("**/")
    expect(page.locator("h1")).to_be_visible()


def settled(page: Page) -> None:
    """Wait until the page shows its data."""
    expect(page.locator("main h1")).to_be_visible()
    expect(page.locator("main p[role=status]", has_text="Loading")).to_have_count(0)


def violations(page: Page, *rules: str) -> list[str]:
    """The serious problems that axe-core finds on this page, with all of its rules or the named ones."""
    if not page.evaluate("'axe' in window"):
        # Loaded into the page's world, past its content policy, which correctly refuses foreign scripts.
        page.context.new_cdp_session(page).send("Runtime.evaluate", {"expression": AXE.read_text(encoding="utf-8")})
    only = {"runOnly": list(rules)} if rules else {}
    found = page.evaluate("how => axe.run(document, how)", {"resultTypes": ["violations"], "preload": False} | only)
    return [
        f"{page.url}: {one['id']}: {one['nodes'][0]['html'][:300]} {one['nodes'][0]['failureSummary'][:300]}"
        for one in found["violations"]
        if one["impact"] in SERIOUS
    ]
