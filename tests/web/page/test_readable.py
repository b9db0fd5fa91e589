"""The page makes output and names readable like proto/readable.py: the shared cases, in a browser, for any division of
the bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trio
from playwright.sync_api import Browser, Page, expect

from server.web.page.pages import assets
from tests.web.api.tasks.test_live_output import running
from tests.web.browser import browse, served, sign_in
from tests.web.page.test_live import TAIL, Writer, open_host
from tests.web.world import World

CORPUS: dict[str, Any] = json.loads((Path(__file__).parents[2] / "proto" / "readable" / "cases.json").read_text())
PLAY = """async ([base, cases, sizes]) => {
  const { Readable, readable, plain } = await import(`${base}/lib/readable.js`);
  const wrong = [];
  for (const { name, base64, text } of cases.output) {
    const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    for (const size of sizes) {
      const screen = new Readable();
      let got = "";
      for (let at = 0; at < bytes.length; at += size) got += screen.add(bytes.subarray(at, at + size));
      got += screen.end();
      if (got !== text) wrong.push([name, size, got.slice(0, 200)]);
    }
    const whole = readable(new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes));
    if (whole !== text) wrong.push([name, "as text", whole.slice(0, 200)]);
  }
  for (const { name, text, escaped } of cases.names) if (plain(text) !== escaped) wrong.push([name, plain(text)]);
  return wrong;
}"""
HIDES = """async ([base, ranges]) => {
  const { plain } = await import(`${base}/lib/readable.js`), hex = (text) => parseInt(text, 16), wrong = [];
  const hidden = new Set([9, 10]);
  for (const [first, last] of ranges) for (let code = hex(first); code <= hex(last); code++) hidden.add(code);
  for (let code = 0; code <= 0x10ffff; code++) {
    if (code >= 0xfe00 && code <= 0xfe0f) continue;
    if (code >= 0xd800 && code <= 0xdfff) continue;
    const c = String.fromCodePoint(code);
    if ((plain(`é${c}`) !== `é${c}`) !== hidden.has(code)) wrong.push(code.toString(16));
  }
  return wrong;
}"""


@pytest.mark.capability("C1")
@pytest.mark.browser
async def test_the_shared_cases_hold_in_a_browser(world: World, nursery: trio.Nursery) -> None:
    address = await served(world, nursery)
    base = f"/static/{assets()[0]}"

    def script(page: Page, browser: Browser) -> None:
        sign_in(page)
        assert page.evaluate(PLAY, [base, CORPUS, [1, 2, 3, 5, 4_096, 1_000_000]]) == []
        assert page.evaluate(HIDES, [base, CORPUS["hidden"]]) == [], "exactly the characters of the table are hidden"

    assert await trio.to_thread.run_sync(browse, script, address) == []
    world.shutdown.set()


@pytest.mark.browser
@pytest.mark.parametrize(
    ("one", "other", "shown"),
    [
        (b"same\r\n", b"same\n", {"same\\r\\n", "same\\n"}),
        (b"same", b"same\n", {"same", "same\\n"}),
        (b"a\tb\n", b"a  b\n", {"a\\tb\\n", "a  b\\n"}),
        (b"end \n", b"end\n", {"end\\x20\\n", "end\\n"}),
        ("e\u0301\n".encode(), "\u00e9\n".encode(), {"e\\u0301\\n", "\u00e9\\n"}),
        (b"\x1b[31mred\x1b[0m\n", b"red\n", {"\\e[31mred\\e[0m\\n", "red\\n"}),
    ],
)
async def test_answers_that_differ_look_different(
    world: World, nursery: trio.Nursery, one: bytes, other: bytes, shown: set[str]
) -> None:
    address = await served(world, nursery)
    task = await world.run("web-1", "web-2")
    world.report(task, "web-1", stdout=one)
    world.report(task, "web-2", stdout=other)
    await world.conductor.committed()

    def script(page: Page, browser: Browser) -> None:
        sign_in(page)
        page.goto(f"/tasks/{task['task_id']}")
        expect(page.locator("[data-exact]")).to_have_count(2)
        assert {text.rstrip("\n") for text in page.locator("[data-group] .output pre").all_inner_texts()} == shown

    assert await trio.to_thread.run_sync(browse, script, address) == []
    world.shutdown.set()


@pytest.mark.browser
@pytest.mark.parametrize(
    ("written", "text"),
    [
        (b"10%\r20%\r100%\n", "100%"),
        (b"Downloading\r\x1b[KDone\n", "Done"),
        (b"abc\b\bX\n", "aXc"),
        (b"one\r\ntwo\r\n", "one\ntwo"),
        (b"a\x1b[32mb\x1b[0m\xe2\x80\xaec\n", "ab\\u202ec"),
    ],
)
async def test_live_output_and_the_result_show_the_same(
    world: World, nursery: trio.Nursery, written: bytes, text: str
) -> None:
    address = await served(world, nursery)

    def script(page: Page, browser: Browser) -> None:
        open_host(page, world, viewed.task)
        write = Writer(viewed)
        for byte in written:
            write(bytes([byte]))
        expect(page.locator(f"{TAIL} .all .stdout")).to_have_text(text, use_inner_text=True)
        write.end()
        expect(page.locator(".answer > .output pre")).to_have_text(text, use_inner_text=True)
        expect(page.locator("[data-group] pre").first).to_have_text(text, use_inner_text=True)

    async with running(world) as viewed:
        assert await trio.to_thread.run_sync(browse, script, address) == []
    world.shutdown.set()
