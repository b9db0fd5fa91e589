"""Live output of one host in a real browser: complete, harmless, bounded, and pausable."""

from __future__ import annotations

import time
from hashlib import sha256
from typing import Any

import pytest
import trio
from playwright.sync_api import Browser, Page, expect

from server.core.results.live_output import STDERR, STDOUT, ViewerPosition
from server.core.results.outputs import build_output
from tests.web.api.tasks.test_live_output import Viewed, running
from tests.web.browser import browse, served, sign_in, violations
from tests.web.page.test_page import NASTY
from tests.web.wire import Wire
from tests.web.world import World

TAIL = ".live pre"
PIECE, KEPT = 30_000, 256 * 1024


class Writer:
    """The host: sends the output of its command while the server asks for it, from the server's position on, as an
    agent does."""

    def __init__(self, viewed: Viewed) -> None:
        self._viewed = viewed
        self._key = (viewed.world.ids["web-1"], viewed.task["command"]["command_id"], 1)
        self.wrote: dict[int, bytes] = {STDOUT: b"", STDERR: b""}

    def __call__(self, data: bytes, stream: int = STDOUT) -> None:
        self.wrote[stream] += data
        trio.from_thread.run_sync(self._send)

    def skip(self, length: int) -> None:
        """Skip bytes that the server never receives while the command runs."""
        self.wrote[STDOUT] += b"?" * length
        self._ring().ends[STDOUT] += length

    def _ring(self) -> Any:
        return self._viewed.world.fleet.watching._watched[self._key].ring

    def _send(self) -> None:
        if self._key in self._viewed.world.fleet.watching._watched:
            for stream, data in self.wrote.items():
                for begin in range(self._ring().ends[stream], len(data), PIECE):
                    self._viewed.say(stream, begin, data[begin : begin + PIECE])

    async def keep_sending(self) -> None:
        while True:
            self._send()
            await trio.sleep(0.05)

    def end(self, code: int = 0) -> None:
        out, err = self.wrote[STDOUT], self.wrote[STDERR]
        kept = build_output(out[:KEPT], out[KEPT:][-KEPT:], len(out), sha256(out).digest())
        trio.from_thread.run_sync(lambda: self._viewed.end(code, kept, err))


def open_host(page: Page, world: World, task: dict[str, Any]) -> None:
    sign_in(page)
    page.goto(f"/tasks/{task['task_id']}?host={world.ids['web-1']}")
    expect(page.locator("[data-live=on]")).to_be_visible()


def shown(page: Page) -> list[str]:
    return page.locator(TAIL).inner_text().splitlines()


@pytest.mark.capability("C1")
@pytest.mark.browser
async def test_output_is_shown_live_and_harmless_until_the_result_replaces_it(
    world: World, nursery: trio.Nursery
) -> None:
    address = await served(world, nursery)

    def script(page: Page, browser: Browser) -> None:
        open_host(page, world, viewed.task)
        write = Writer(viewed)
        expect(page.locator("[data-live]")).to_contain_text("waiting for output")
        # cut within a colour sequence and within a character, as pieces may be
        for piece in (
            b"one \x1b[3",
            b"1mred\x1b[0m caf\xc3",
            b"\xa9 \x00\n",
            NASTY.encode() + b"\n",
            "right\u202eleft\n".encode(),
            b"\x1b]0;title\nnot hidden\n",
            b"10%\r20%\r30%\r\n",
        ):
            write(piece)
        write(b"oops\n", STDERR)
        write(b"after\n")
        expect(page.locator(TAIL)).to_contain_text("after")
        assert shown(page) == [
            "one red café \\x00",
            NASTY,
            "right\\u202eleft",
            "\\x1b]0;title",
            "not hidden",
            "30%",
            "oops",
            "after",
        ]
        expect(page.locator(f"{TAIL} .all .stderr")).to_have_text("oops")
        expect(page.locator("[data-live=on]")).to_be_visible()
        assert page.locator("main img, main script, svg[onload]").count() == 0 and page.title() not in ("1", "2", "3")
        assert violations(page) == []
        write(b"without an end")
        expect(page.locator(TAIL)).to_contain_text("without an end")
        write.skip(12_345)
        write(b"far ahead\n")
        expect(page.locator(TAIL)).to_contain_text("bytes of stdout skipped")
        assert shown(page)[-3:] == ["without an end", "… 12,345 bytes of stdout skipped …", "far ahead"]
        write.end(3)
        expect(page.locator(".answer .top .pill").first).to_contain_text("failed")
        expect(page.locator(".answer > .output pre").first).to_contain_text("one red café \\x00")
        expect(page.locator("details.live")).not_to_have_attribute("open", "")
        page.get_by_text("Output in order of arrival").click()
        expect(page.locator(TAIL)).to_contain_text("far ahead")

    async with running(world) as viewed:
        assert await trio.to_thread.run_sync(browse, script, address) == []
    world.shutdown.set()


@pytest.mark.browser
async def test_a_long_output_is_followed_paused_and_resumed_with_bounded_memory(
    world: World, nursery: trio.Nursery
) -> None:
    address = await served(world, nursery)

    def script(page: Page, browser: Browser) -> None:
        open_host(page, world, viewed.task)
        write = Writer(viewed)
        write(b"".join(b"line %d\n" % number for number in range(1, 10_001)))
        expect(page.locator(TAIL)).to_contain_text("line 10000")
        lines = shown(page)
        assert (
            1_800 <= len(lines) <= 2_101
            and lines[0] == f"… {10_000 - len(lines) + 1:,} earlier lines are not shown here …"
        )
        assert lines[1:] == [f"line {number}" for number in range(10_002 - len(lines), 10_001)]
        assert page.locator(f"{TAIL} *").count() < 60
        at_end = (
            f"(() => {{ const box = document.querySelector('{TAIL}'); return box.scrollHeight - box.scrollTop - "
            f"box.clientHeight; }})()"
        )
        assert page.evaluate(at_end) < 2
        # scrolling up pauses the view; the visible lines do not move
        page.locator(TAIL).hover()
        page.mouse.wheel(0, -2_000)
        expect(page.locator("[data-live=paused]")).to_be_visible()
        write(b"later\n" * 3)
        expect(page.locator("[data-live=paused]")).to_contain_text("3 new lines")
        assert shown(page) == lines
        page.get_by_role("button", name="Jump to the end").click()
        expect(page.locator(TAIL)).to_contain_text("later\nlater\nlater")
        expect(page.locator("[data-live=on]")).to_be_visible()
        assert page.evaluate(at_end) < 2
        # output that arrives while the view is paused is bounded too
        page.get_by_role("button", name="Pause").click()
        write(b"".join(b"more %d\n" % number for number in range(9_000)))
        expect(page.locator("[data-live=paused]")).to_contain_text("9,000 new lines")
        page.get_by_role("button", name="Jump to the end").click()
        expect(page.locator(TAIL)).to_contain_text("more 8999")
        lines = shown(page)
        assert (
            len(lines) <= 2_101
            and lines[0] == f"… {10_003 + 9_000 - len(lines) + 1:,} earlier lines are not shown here …"
        )
        # an endless line is divided and does not grow without limit
        write(b"x" * 900_000)
        expect(page.locator(TAIL)).to_contain_text("x" * 4_000)
        page.wait_for_function(f"document.querySelector('{TAIL}').textContent.length > 300000")
        assert page.evaluate(f"document.querySelector('{TAIL}').textContent.length") < 500_000
        write.end()
        expect(page.locator(".answer > .output")).to_be_visible()

    async with running(world) as viewed:
        assert await trio.to_thread.run_sync(browse, script, address) == []
    world.shutdown.set()


@pytest.mark.capability("C1")
@pytest.mark.browser
async def test_no_line_is_lost_or_doubled_when_the_connection_breaks(world: World, nursery: trio.Nursery) -> None:
    wire = Wire(int((await served(world, nursery)).rpartition(":")[2]))
    address = f"http://127.0.0.1:{await wire.start(nursery)}"

    def script(page: Page, browser: Browser) -> None:
        open_host(page, world, viewed.task)
        trio.from_thread.run_sync(nursery.start_soon, write.keep_sending)
        for turn in range(3):
            for number in range(50):
                write(b"line %d of turn %d\n" % (number, turn))
                if number == 25:
                    trio.from_thread.run_sync(wire.cut)
            expect(page.locator(TAIL)).to_contain_text(f"line 49 of turn {turn}")
        # a hidden tab closes its connection, and continues where it stopped
        page.evaluate(
            "Object.defineProperty(document, 'hidden', {value: true, configurable: true}); "
            "document.dispatchEvent(new Event('visibilitychange'))"
        )
        deadline = time.monotonic() + 15
        while world.fleet.watching._watched:
            assert time.monotonic() < deadline
            page.wait_for_timeout(50)
        write(b"while hidden\n")
        page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
        expect(page.locator(TAIL)).to_contain_text("while hidden")
        assert shown(page) == write.wrote[STDOUT].decode().splitlines()
        write.end()
        expect(page.locator(".answer > .output pre")).to_contain_text("line 49 of turn 2")

    async with running(world) as viewed:
        write = Writer(viewed)
        complaints = await trio.to_thread.run_sync(browse, script, address)
    assert all("ERR_" in line for line in complaints), complaints
    world.shutdown.set()


@pytest.mark.browser
async def test_the_reason_for_missing_live_output_is_shown_and_a_retry_starts_the_output_again(
    world: World, nursery: trio.Nursery
) -> None:
    address = await served(world, nursery)
    world.fleet.watching._limits = type(world.fleet.watching._limits)(executions=1)

    def script(page: Page, browser: Browser) -> None:
        first = trio.from_thread.run_sync(world.fleet.watching.open, ("elsewhere", "c", 1), ViewerPosition())
        sign_in(page)
        page.goto(f"/tasks/{viewed.task['task_id']}?host={world.ids['web-1']}")
        expect(page.locator("[data-live=broken]")).to_contain_text("the limit of followed outputs is reached")
        trio.from_thread.run_sync(first.close)
        expect(page.locator("[data-live=on]")).to_be_visible()
        write = Writer(viewed)
        write(b"first try\n")
        expect(page.locator(TAIL)).to_contain_text("first try")
        write.end(1)
        expect(page.locator(TAIL)).to_contain_text("attempt 2: the output starts again")
        trio.from_thread.run_sync(lambda: viewed.say(STDOUT, 0, b"second try\n", attempt=2))
        expect(page.locator(TAIL)).to_contain_text("second try")
        assert shown(page) == ["first try", "attempt 2: the output starts again", "second try"]

    async with running(world, retry={"attempts": 2, "idempotent": True, "backoff": 0.1}) as viewed:
        complaints = await trio.to_thread.run_sync(browse, script, address)
    assert all("503" in line for line in complaints), complaints
    world.shutdown.set()
