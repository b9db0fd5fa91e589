"""The page in a real browser: sign in, see hosts, run a command, read its output, and execute nothing that came from a host."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Callable
from functools import partial
from importlib.resources import files
from pathlib import Path
from unittest import mock

import pytest
import trio
from playwright.sync_api import Browser, Page, expect, sync_playwright

from server.web.app import serve
from server.web.pages import CSP
from tests.web.world import ADMIN, World

NASTY = b'<img src=x onerror="document.title=1"><script>document.title=2</script>\x1b[31mred\x1b[0m \x00 \xff end\n'
SHOTS = os.environ.get("CLARION_SCREENSHOTS")


def chromium() -> str:
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    assert path is not None, "these tests need Chromium: apt-get install chromium"
    return path


def browse(script: Callable[[Page, Browser], None], address: str) -> list[str]:
    """Run `script` in a new browser; returns what the browser complained of."""
    complaints: list[str] = []
    # trio-asyncio, once imported, forbids asyncio loops outside trio; playwright brings its own.
    with mock.patch("asyncio.new_event_loop", asyncio.SelectorEventLoop), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        page = browser.new_page(base_url=address, viewport={"width": 1180, "height": 860})
        page.set_default_timeout(10_000)
        expect.set_options(timeout=10_000)
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        script(page, browser)
        browser.close()
    return complaints


async def served(world: World, nursery: trio.Nursery) -> str:
    host, port = await nursery.start(partial(serve, world.app, "127.0.0.1", 0, shutdown=world.shutdown, live=world.live, limits=world.deps.limits))
    return f"http://{host}:{port}"


def sign_in(page: Page) -> None:
    page.goto("/")
    page.get_by_label("Token").fill(ADMIN.text)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Tasks")).to_be_visible()


def shot(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"), full_page=True)


async def answering(world: World) -> None:
    """Plays the agents: whatever is dispatched is reported at once by web-1 and, failing, by web-2."""
    while not world.shutdown.is_set():
        for name in ("web-1", "web-2"):
            session = world.sessions[name]
            for act in session.take():
                if type(act).__name__ != "Dispatch":
                    continue
                task = {"command": {"command_id": act.command.command_id}}  # type: ignore[union-attr]
                world.begin(task, name)
                if name == "web-1":
                    world.report(task, name, stdout=NASTY)
                else:
                    world.report(task, name, code=3, stderr=b"no such thing\n")
        await trio.sleep(0.02)


async def test_an_operator_signs_in_sees_hosts_runs_a_command_and_reads_its_output(world: World, nursery: trio.Nursery) -> None:
    address = await served(world, nursery)
    nursery.start_soon(answering, world)

    def script(page: Page, browser: Browser) -> None:
        sign_in(page)
        expect(page.get_by_text("No tasks yet.")).to_be_visible()
        expect(page.get_by_text("of 3 hosts connected")).to_be_visible()
        page.get_by_role("link", name="Hosts").click()
        expect(page.get_by_role("row", name=re.compile("web-1.*connected"))).to_be_visible()
        expect(page.get_by_role("row", name=re.compile("db-1.*never seen"))).to_be_visible()
        shot(page, "hosts")
        page.get_by_role("link", name="New command").click()
        expect(page.get_by_text("3 known, 2 connected.")).to_be_visible()
        page.get_by_label("Command").fill("uname -a; cat /etc/hostname")
        shot(page, "new")
        page.get_by_role("button", name="Run now").click()
        expect(page.locator(".top .pill")).to_have_text("failed")
        page.get_by_role("button", name="web-1").click()
        expect(page.locator(".output pre")).to_contain_text('<script>document.title=2</script>red ␀ � end')
        page.get_by_role("button", name="web-2").click()
        expect(page.get_by_text("no such thing")).to_be_visible()
        expect(page.get_by_text("the host has never connected")).to_be_visible()
        assert page.title() == "Clarion"
        shot(page, "task")
        with page.expect_download() as download:
            page.get_by_role("button", name="Download").first.click()
        assert download.value.suggested_filename == "web-1.stdout"
        assert Path(download.value.path()).read_bytes() == NASTY
        page.get_by_role("link", name="Tasks", exact=True).click()
        expect(page.get_by_role("row", name=re.compile("uname.*failed.*1 of 3"))).to_be_visible()
        shot(page, "tasks")
        for scheme, width in (("dark", 1180), ("light", 390), ("dark", 390)):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            page.set_viewport_size({"width": width, "height": 800})
            for route in ("tasks", "hosts", "new"):
                page.goto(f"/#/{route}")
                expect(page.locator("main[aria-busy]")).to_have_count(0)
                assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), (route, width)
                shot(page, f"{route}-{scheme}-{width}")
            page.goto("/#/tasks")
            page.get_by_role("link", name=re.compile("uname")).click()
            page.get_by_role("button", name="web-1").click()
            expect(page.locator(".output pre")).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), width
            shot(page, f"task-{scheme}-{width}")

    assert await trio.to_thread.run_sync(browse, script, address) == []
    world.shutdown.set()


async def test_progress_arrives_by_itself_while_a_task_runs(world: World, nursery: trio.Nursery) -> None:
    address = await served(world, nursery)
    task = await world.run("web-1", "web-2")
    world.begin(task, "web-1")
    changed = trio.Event()

    def script(page: Page, browser: Browser) -> None:
        sign_in(page)
        page.goto(f"/#/tasks/{task['task_id']}")
        expect(page.locator(".top .pill")).to_have_text("running")
        shot(page, "running")
        trio.from_thread.run_sync(changed.set)
        expect(page.locator(".top .pill")).to_have_text("completed")
        expect(page.get_by_role("row", name=re.compile("web-2.*completed"))).to_be_visible()
        page.get_by_role("button", name="Delete").wait_for()

    async def finish() -> None:
        await changed.wait()
        world.report(task, "web-1")
        world.report(task, "web-2")

    nursery.start_soon(finish)
    assert await trio.to_thread.run_sync(browse, script, address) == []
    world.shutdown.set()


async def test_wrong_tokens_bad_hosts_and_lost_tasks_say_what_to_do(world: World, nursery: trio.Nursery) -> None:
    address = await served(world, nursery)

    def script(page: Page, browser: Browser) -> None:
        page.goto("/")
        page.get_by_label("Token").fill("cl_nonsense")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_text("the token is no good")).to_be_visible()
        shot(page, "signin")
        sign_in(page)
        page.goto("/#/new")
        page.get_by_label("Command").fill("true")
        page.get_by_label("Hosts").fill("nobody web-1")
        page.get_by_role("button", name="Only create").click()
        expect(page.locator("#notice")).to_contain_text("unknown: 'nobody'")
        expect(page.get_by_label("Hosts")).to_have_attribute("aria-invalid", "true")
        shot(page, "error")
        page.goto("/#/tasks/01900000-0000-7000-8000-00000000beef")
        expect(page.get_by_text("There is no such task.")).to_be_visible()
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("Token")).to_be_visible()
        assert page.evaluate("sessionStorage.length") == 0

    complaints = await trio.to_thread.run_sync(browse, script, address)
    assert all("Failed to load resource" in line for line in complaints)
    world.shutdown.set()


async def test_the_shell_is_strict_and_its_files_are_immutable(world: World) -> None:
    shell = await world.get("/", token=False)
    assert shell.headers["Content-Security-Policy"] == CSP
    assert "unsafe" not in CSP and CSP.startswith("default-src 'none'")
    text = shell.data.decode()
    assert "<style" not in text and "onclick" not in text and "${" not in text
    names = set(re.findall(r"/static/([\w.]+)", text))
    assert len(names) == 4
    for name in names:
        file = await world.get(f"/static/{name}", token=False)
        assert file.status == 200 and "immutable" in file.headers["Cache-Control"]
        assert file.headers["X-Content-Type-Options"] == "nosniff"
    for name in ("app.js", "..%2fapp.py", "x"):
        assert (await world.get(f"/static/{name}", token=False)).error["code"] == "route_not_found"


@pytest.mark.parametrize("word", ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "http://", "https://"])
def test_the_script_has_no_way_to_turn_text_into_markup_and_loads_nothing_from_elsewhere(word: str) -> None:
    for name in ("tools.js", "app.js"):
        assert word not in files("server.web").joinpath("static", name).read_text(encoding="utf-8")
