"""The page in a real browser: content policy, accessibility, two languages, and no markup from foreign text."""

from __future__ import annotations

import re
from hashlib import sha256
from importlib.resources import files
from typing import Any
from urllib.parse import quote

import orjson
import pytest
import trio
from playwright.sync_api import Browser, Page, expect

from proto.reasons import REASONS
from server.core.effects import SaveHost
from server.core.events import Outcome, Result
from server.core.model import Host
from server.core.states import ExecutionStatus, TaskStatus
from server.errors import PROBLEMS
from server.web.page.pages import CSP, LANGUAGES, PAGES, assets, language_of
from tests.web.browser import browse, served, settled, sign_in, violations
from tests.web.test_errors import NOT_HTTP
from tests.web.world import ADMIN, World, whole

NASTY = '<img src=x onerror="document.title=1"><script>document.title=2</script><svg onload=document.title=3>'
OUTPUT = NASTY.encode() + b"\x1b[31mred\x1b[0m \x00 \xff end\n"
SHELLS = ("/", "/login", "/tasks", "/tasks/x", "/hosts", "/hosts/x", "/new", "/help")


def catalogue(language: str) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(assets()[1][f"i18n/{language}.json"])
    return found


def sources() -> dict[str, str]:
    return {
        name: data.decode()
        for name, data in assets()[1].items()
        if name.endswith(".js") and not name.startswith("vendor/")
    }


async def mixed(world: World) -> dict[str, Any]:
    """A task with one host for each way to end."""
    task = await world.run("all", name="uname -a")
    world.report(task, "web-1", stdout=OUTPUT)
    world.report(task, "web-2", code=3, stdout=b"a\n", stderr=b"no such thing\n")
    await world.conductor.committed()
    return task


async def test_the_shells_are_strict_and_their_files_are_immutable(world: World) -> None:
    assert "unsafe" not in CSP and CSP.startswith("default-src 'none'")
    digest, found = assets()
    for path in SHELLS:
        shell = await world.get(path, token=False)
        assert shell.status == 200 and shell.headers["Content-Security-Policy"] == CSP, path
        text = shell.data.decode()
        assert "<style" not in text and "onclick" not in text and "$" not in text and "http" not in text
        assert all(name in found for name in re.findall(rf"/static/{digest}/([\w./-]+)", text))
    for name in found:
        file = await world.get(f"/static/{digest}/{name}", token=False)
        assert (
            file.status == 200
            and "immutable" in file.headers["Cache-Control"]
            and file.headers["X-Content-Type-Options"] == "nosniff"
        )
    for name in (
        f"{digest}/app.py",
        f"{digest}/../app.py",
        f"{digest}/..%2fapp.py",
        "0000000000000000/base.css",
        f"{digest}/",
    ):
        assert (await world.get(f"/static/{name}", token=False)).error["code"] == "route_not_found"


@pytest.mark.parametrize(
    "word",
    ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "http://", "https://"],
)
def test_no_script_turns_text_into_markup_or_loads_from_elsewhere(word: str) -> None:
    assert not [name for name, text in sources().items() if word in text]


@pytest.mark.parametrize("word", ["sessionStorage", "localStorage", "indexedDB", "document.cookie"])
def test_only_one_module_stores_anything_in_the_browser(word: str) -> None:
    allowed = {"document.cookie": {"lib/ui.js"}, "indexedDB": set()}.get(word, {"lib/keep.js"})
    assert {name for name, text in sources().items() if word in text} == allowed


def test_both_languages_have_the_same_texts_and_none_is_missing() -> None:
    english, chinese = (catalogue(language) for language in LANGUAGES)
    assert {key for key in english if not key.endswith(".1")} == set(chinese), "Chinese has no plural"
    assert all(key.removesuffix(".1") in english for key in english)
    assert set(chinese["words"]["errors"]) == set(PROBLEMS) - NOT_HTTP
    for kind in ("states", "reasons"):
        assert set(english["words"][kind]) == set(chinese["words"][kind])
    assert set(english["words"]["reasons"]) == set(REASONS)
    assert {status.label for status in ExecutionStatus} < set(english["words"]["states"])
    places = re.compile(r"\{\w+\}")
    for key in set(chinese) - {"words"}:
        assert (
            english[key]
            and chinese[key]
            and sorted(places.findall(english[key])) == sorted(places.findall(chinese[key]))
        ), key
    used = {key for text in sources().values() for key in re.findall(r'\bt\("([^"]+)"', text)}
    used |= {f"title.{page}" for page in PAGES} | {f"task.{status.label}" for status in TaskStatus}
    assert used <= set(english)


def test_the_chinese_words_for_states_are_the_specified_ones() -> None:
    said = {label: words[0] for label, words in catalogue("zh-CN")["words"]["states"].items()}
    wanted = {
        "pending": "等待中",
        "running": "运行中",
        "dispatch_failed": "未启动",
        "completed": "已完成",
        "failed": "失败",
        "timeout": "已超时",
        "canceled": "已取消",
    }
    assert wanted.items() <= said.items()


@pytest.mark.parametrize(
    ("cookie", "accepted", "wanted"),
    [
        (None, "", "en"),
        (None, "zh", "zh-CN"),
        (None, "de, zh-TW;q=0.8, en;q=0.5", "zh-CN"),
        (None, "zh;q=0, en", "en"),
        ("en", "zh-CN", "en"),
        ("zh-CN", "en", "zh-CN"),
        ("../x", "fr", "en"),
        (None, "zh;q=x", "zh-CN"),
    ],
)
def test_the_language_is_the_browsers_unless_another_was_selected(
    cookie: str | None, accepted: str, wanted: str
) -> None:
    assert language_of(cookie, accepted) == wanted


def test_vendored_files_have_their_reviewed_checksums() -> None:
    kept = {
        name.removeprefix("vendor/"): sha256(data).hexdigest()
        for name, data in assets()[1].items()
        if name.startswith("vendor/")
    }
    listed = dict(
        reversed(line.split()) for line in files("tests.web").joinpath("vendor", "SHA256SUMS").read_text().splitlines()
    )
    axe = files("tests.web").joinpath("vendor", "axe.js").read_bytes()
    assert kept | {"axe.js": sha256(axe).hexdigest()} == listed


@pytest.mark.browser
async def test_login_is_required_returns_to_the_requested_page_and_ends_with_logout(
    world: World, nursery: trio.Nursery
) -> None:
    address = await served(world, nursery)

    def script(page: Page, browser: Browser) -> None:
        page.goto("/hosts?connected=true")
        page.wait_for_url("**/login?next=*")
        page.get_by_label("Token").fill("cl_nonsense")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_text("the token is invalid")).to_be_visible()
        page.get_by_label("Token").fill(ADMIN.text)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/hosts?connected=true")
        expect(page.get_by_role("row", name=re.compile("web-1.*online"))).to_be_visible()
        (cookie,) = page.context.cookies()
        assert cookie["httpOnly"] and cookie["sameSite"] == "Strict" and not page.evaluate("document.cookie")
        page.goto("/login?next=//evil.example/x")
        page.get_by_label("Token").fill(ADMIN.text)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{address}/")
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url("**/login")
        page.goto("/tasks")
        page.wait_for_url("**/login?next=%2Ftasks")

    complaints = await trio.to_thread.run_sync(browse, script, address)
    assert all("Failed to load resource" in line for line in complaints), complaints
    world.shutdown.set()


@pytest.mark.capability("C1")
@pytest.mark.browser
async def test_text_from_hosts_and_users_is_never_executed(world: World, nursery: trio.Nursery) -> None:
    address = await served(world, nursery)
    evil = Host(
        "01900000-0000-7000-8000-0000000000ee",
        NASTY,
        ip=NASTY,
        os=NASTY,
        arch=NASTY,
        version=NASTY,
        labels={"x": NASTY},
        agent_labels={"y": NASTY},
        created_at=1,
        updated_at=1,
    )
    await world.writer.commit([SaveHost(evil)])
    world.fleet.put(evil)
    task = await world.run(
        "all", name=NASTY[:180], description=NASTY, parameters={"x": NASTY}, command=f"echo '{NASTY}'"
    )
    world.report(task, "web-1", stdout=OUTPUT, stderr=OUTPUT)
    detail = Result(
        world.ids["web-2"],
        task["command"]["command_id"],
        1,
        Outcome.FAILED,
        error_code="spawn_failed",
        error_message=NASTY,
        stdout=whole(b"{}" + OUTPUT),
    )
    world.conductor.submit(detail)
    await world.conductor.committed()

    def script(page: Page, browser: Browser) -> None:
        sign_in(page)
        where = f"/tasks/{task['task_id']}"
        for path in (
            "/",
            "/tasks",
            f"{where}?host={world.ids['web-1']}",
            f"{where}?host={world.ids['web-2']}",
            f"{where}?host={evil.host_id}",
            "/hosts",
            f"/hosts/{evil.host_id}",
            "/new?targets=" + NASTY[:60],
        ):
            page.goto(path)
            settled(page)
            assert "<img src=x" in page.locator("main").inner_text() or path.startswith("/new"), path
            assert page.locator("main img, main script, svg[onload]").count() == 0
            assert page.title() not in ("1", "2", "3")
        page.goto(f"{where}?host={world.ids['web-2']}")
        expect(page.locator(".answer p").first).to_contain_text("<img src=x")
        page.goto("/hosts?select=" + quote(f"online '{NASTY}'"))
        expect(page.locator(".problem")).to_contain_text("<img src=x")
        assert page.locator(".problem img, .problem script, .problem svg").count() == 0
        page.goto(f"{where}?host={world.ids['web-1']}")
        expect(page.locator(".answer .output pre").first).to_contain_text("</script>")
        expect(page.locator(".answer .output pre").first).to_contain_text("red \\x00 � end")
        page.get_by_role("button", name="Difference from the largest").first.click()
        expect(page.locator(".diff")).to_contain_text("<img src=x")
        with page.expect_download() as download:
            page.get_by_role("button", name="Download").first.click()
        assert download.value.path().read_bytes() == OUTPUT
        assert page.title() not in ("1", "2", "3")

    complaints = await trio.to_thread.run_sync(browse, script, address)
    assert all("422" in line for line in complaints), complaints
    world.shutdown.set()


@pytest.mark.capability("C1")
@pytest.mark.browser
async def test_every_page_is_accessible_in_light_and_dark_mode_and_fits_a_phone(
    world: World, nursery: trio.Nursery
) -> None:
    address = await served(world, nursery)
    task = await mixed(world)
    running = await world.run("web-1", "web-2", name="sleep")
    world.begin(running, "web-1")
    paths = (
        "/",
        "/tasks",
        f"/tasks/{task['task_id']}?host={world.ids['web-2']}",
        f"/tasks/{running['task_id']}",
        "/hosts",
        f"/hosts/{world.ids['web-1']}",
        "/new",
        "/help",
        "/tasks/none",
        "/hosts?select=nobody*",
    )
    found: list[str] = []

    def script(page: Page, browser: Browser) -> None:
        page.goto("/login")
        found.extend(violations(page))
        sign_in(page)
        # The second check covers only what can differ: contrast and width.
        for scheme, width, rules in (("light", 1180, ()), ("dark", 390, ("color-contrast",))):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
            page.set_viewport_size({"width": width, "height": 800})
            for path in paths:
                page.goto(path)
                expect(page.locator("main .card").first).to_be_visible()
                assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), (path, width)
                found.extend(violations(page, *rules))

    await trio.to_thread.run_sync(browse, script, address)
    assert found == []
    world.shutdown.set()


@pytest.mark.browser
async def test_the_page_speaks_chinese_when_the_browser_does_and_can_be_switched(
    world: World, nursery: trio.Nursery
) -> None:
    address = await served(world, nursery)
    task = await mixed(world)

    def script(page: Page, browser: Browser) -> None:
        sign_in(page)
        assert page.locator("html").get_attribute("lang") == "zh-CN"
        page.goto(f"/tasks/{task['task_id']}")
        expect(page.locator("h1")).to_have_text("uname -a")
        expect(page.locator("[data-status=failed]")).to_contain_text("失败")
        expect(page.locator("[data-count=dispatch_failed]")).to_contain_text("未启动")
        page.locator("#language").click()
        expect(page.locator("[data-count=dispatch_failed]")).to_contain_text("not started")
        assert page.locator("html").get_attribute("lang") == "en"

    assert await trio.to_thread.run_sync(lambda: browse(script, address, locale="zh-CN")) == []
    world.shutdown.set()


@pytest.mark.capability("C1")
@pytest.mark.browser
async def test_a_plan_is_shown_before_a_run_and_bad_fields_are_named(world: World, nursery: trio.Nursery) -> None:
    address = await served(world, nursery)

    def script(page: Page, browser: Browser) -> None:
        sign_in(page)
        page.goto("/new")
        page.locator("#targets").fill("web* and")
        expect(page.locator("#preview")).to_contain_text("column")
        page.locator("#targets").fill("nobody")
        expect(page.locator("#preview")).to_contain_text(re.compile("[Nn]o host .*nobody"))
        page.locator("#targets").fill("web*, db-1")
        expect(page.locator("#preview")).to_contain_text("3 hosts · 1 of them offline")
        page.locator("#text").fill("true")
        page.get_by_text("More limits").click()
        page.get_by_label("Run as user").fill("no such user!")
        page.get_by_role("button", name="Show the plan").click()
        expect(page.locator(".plan")).to_contain_text("Runs on 3 hosts. Offline: 1.")
        page.get_by_role("button", name="Run now").click()
        expect(page.locator("#run_as-wrong")).to_contain_text("run_as cannot be a user's name")
        expect(page.get_by_label("Run as user")).to_have_attribute("aria-invalid", "true")
        expect(page.get_by_label("Run as user")).to_be_focused()
        page.get_by_label("Run as user").fill("")
        page.get_by_role("button", name="Show the plan").click()
        page.get_by_role("button", name="Create only").click()
        page.wait_for_url("**/tasks/*")
        expect(page.get_by_text("This task has not been started.")).to_be_visible()
        page.get_by_role("button", name="Start").click()
        expect(page.locator("[data-status=running]")).to_be_visible()

    complaints = await trio.to_thread.run_sync(browse, script, address)
    assert all("Failed to load resource" in line for line in complaints), complaints
    world.shutdown.set()
