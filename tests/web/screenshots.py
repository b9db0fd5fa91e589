"""Pictures of every page of a made-up installation: `python -m tests.web.screenshots FOLDER [HOSTS] [LANGUAGE]`.

With a FOLDER alone those of the docs are taken: light, dark and on a phone. With HOSTS (3, 300, 10000 or any other
number) every page is
taken whole, 1280, 2200 and 390 pixels wide, light and dark, for one to look at. Server, store and page are the real
ones; agents are
played by events, as in the page's tests.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import trio
from playwright.sync_api import Browser, Page, expect

from server.core.effects import SaveHost
from server.core.events import Now, Outcome, Result
from server.core.model import Host
from server.core.results.live_output import STDERR, STDOUT, Piece, SessionCredit
from server.web.page.pages import assets
from tests.web.browser import browse, served, settled, sign_in
from tests.web.world import World, open_world, whole

PHONE = {"width": 390, "height": 844}
LOOKS = {
    "light": ("light", {"width": 1280, "height": 900}),
    "dark": ("dark", {"width": 1280, "height": 900}),
    "phone": ("light", PHONE),
}
SIZES = {"1280": {"width": 1280, "height": 900}, "2200": {"width": 2200, "height": 1200}, "390": PHONE}
ALL = {f"{width}-{scheme}": (scheme, size) for width, size in SIZES.items() for scheme in ("light", "dark")}
MOST_PX = 3_000
"""A whole page may be ever so long."""
PAGES = ("login", "overview", "tasks", "task-running", "task-small", "task-answers", "hosts", "host", "new", "help")
HOUR = 3_600_000
RELEASE = (
    "Filesystem      Size  Used Avail Use% Mounted on\n/dev/vda1        40G   {used}  {left}  {share}% /\ntmpfs    "
    "       3.9G     0  3.9G   0% /run\n"
)


def fleet(number: int) -> list[Host]:
    """Web, database and cache hosts of two places, one of each at least."""
    db, cache = max(1, number * 24 // 516), max(1, number * 12 // 516)
    kinds = (("web", number - db - cache, "web"), ("db", db, "db"), ("cache", cache, "cache"))
    names = [(f"{kind}-{number:03}", role) for kind, count, role in kinds for number in range(1, count + 1)]
    return [
        Host(
            *(
                f"01900000-0000-7000-8000-{index:012d}",
                name,
                f"10.1.{index // 250}.{index % 250 + 1}",
                "Debian GNU/Linux 12",
                "x86_64",
                "0.1.0",
            ),
            labels={"role": role, "env": "staging" if index % 9 == 0 else "prod"},
            agent_labels={"site": "fra" if index % 2 else "ams"},
            **{"first_seen_at": 1_760_000_000_000, "last_seen_at": 1_760_000_000_000, "created_at": 1, "updated_at": 1},
        )
        for index, (name, role) in enumerate(names)
    ]


@dataclass
class Stage:
    """The world, and where its clock stands. hours: behind the present."""

    world: World
    number: int = 516
    names: list[str] = field(default_factory=list)
    hours: float = 0.0
    shown: str = ""
    """The host whose output is followed."""
    words: dict[str, str] = field(default_factory=dict)
    """The page's texts."""

    def prepare(self) -> None:
        real = self.world.clock.now
        self.world.clock.now = lambda: Now(real().mono, real().wall_ms - round(self.hours * HOUR))  # type: ignore[method-assign]

    async def hosts(self) -> None:
        hosts = fleet(self.number)
        await self.world.writer.commit([SaveHost(host) for host in hosts])
        for host in hosts:
            self.world.fleet.put(host)
            self.world.ids[host.hostname] = host.host_id
        self.names = [host.hostname for host in hosts]
        self.world.connect(*(name for index, name in enumerate(self.names) if index % 97 != 40 or self.number < 40))
        for session in self.world.sessions.values():
            session.since = self.world.clock.now().wall_ms - 3 * HOUR

    async def past(self) -> None:
        """A day of tasks that have ended."""
        told = (
            *(
                (22, "web-* and online", "apt-get -qq update", 0),
                (19, "db-*", "pg_dump --schema-only app | sha256sum", 1),
                (15, "web-* and online", "uptime", 0),
            ),
            *(
                (11, "web-*", "systemctl is-active nginx", 3),
                (7, "cache-* and online", "redis-cli info | grep used_memory_human", 0),
                (4, "web-*2*" if self.number > 40 else "db-*", "journalctl -u app --since -1h | grep -c ERROR", 5),
            ),
            *(
                (2, "role=db and env=prod and online", "psql -c 'select pg_is_in_recovery()'", 0),
                (1, "web-*", "deploy 2.4.1", 14),
            ),
        )
        for hours, targets, command, bad in told:
            self.hours = hours
            task = await self.world.run(targets, command=command)
            await self._answer(task, bad)
        self.hours = 0.0

    async def _answer(self, task: dict[str, Any], bad: int) -> None:
        cells = await self.world.get(f"/api/v1/tasks/{task['task_id']}/cells")
        for index, name in enumerate(name for name in cells.json["names"] if name in self.world.sessions):
            self.world.report(
                task, name, int(index < bad), b"ok\n" if index >= bad else b"", b"" if index >= bad else b"not found\n"
            )
        await self.world.conductor.committed()

    async def answers(self) -> dict[str, Any]:
        """One that has ended, with a few different answers."""
        task = await self.world.run("web-*", command="df -h / /run", name="Free space")
        for index, name in enumerate(
            name for name in self.names if name.startswith("web-") and name in self.world.sessions
        ):
            if index in (17, 203, 350):
                self.say(task, name, Outcome.FAILED, 1, "exit_nonzero", b"", b"df: /: Input/output error\n")
            elif index == 120:
                self.say(task, name, Outcome.FAILED, None, "spawn_failed", b"", b"", "/bin/sh: Cannot allocate memory")
            else:
                full = index % 40 == 3
                text = RELEASE.format(
                    used=" 38G" if full else " 11G", left="124M" if full else " 27G", share="100" if full else " 29"
                )
                self.say(task, name, Outcome.COMPLETED, 0, None, text.encode(), b"")
        await self.world.conductor.committed()
        return task

    async def small(self) -> dict[str, Any]:
        """One on few hosts."""
        task = await self.world.run(
            "cache-*",
            command="redis-cli --raw info persistence | grep -E 'rdb_last|aof_'\n",
            name="Persistence of the caches",
        )
        for index, name in enumerate(
            name for name in self.names if name.startswith("cache-") and name in self.world.sessions
        ):
            if index == 4:
                self.say(
                    task,
                    name,
                    Outcome.FAILED,
                    1,
                    "exit_nonzero",
                    b"",
                    b"Could not connect to Redis at 127.0.0.1:6379: Connection refused\n",
                )
            elif index < 8:
                self.world.report(task, name, 0, b"rdb_last_bgsave_status:ok\naof_enabled:1\n")
            elif index < 20:
                self.world.begin(task, name)
        await self.world.conductor.committed()
        return task

    def say(
        self,
        task: dict[str, Any],
        name: str,
        outcome: Outcome,
        code: int | None,
        reason: str | None,
        out: bytes,
        err: bytes,
        detail: str | None = None,
    ) -> None:
        host, command = self.world.ids[name], task["command"]["command_id"]
        self.world.conductor.submit(
            Result(
                host,
                command,
                1,
                outcome,
                exit_code=code,
                error_code=reason,
                error_message=detail,
                execution_ms=41,
                stdout=whole(out),
                stderr=whole(err),
            )
        )

    async def running(self) -> dict[str, Any]:
        """One that runs: most hosts have ended, some run, some are away."""
        task = await self.world.run(
            "web-* or cache-*",
            command="deploy 2.4.2 --drain --wait",
            name="Deploy 2.4.2",
            description="Rolling out the fix for the session store.",
        )
        names = [name for name in self.names if not name.startswith("db-") and name in self.world.sessions]
        self.shown = names[min(len(names) - 1, 479)]
        done = min(330, len(names) // 2) if self.number < 1000 else len(names) * 2 // 3
        for index, name in enumerate(names):
            if index % 31 == 11:
                self.say(task, name, Outcome.FAILED, 1, "exit_nonzero", b"", b"health check failed\n")
            elif index % 101 == 50:
                self.say(task, name, Outcome.TIMEOUT, None, "timed_out", b"", b"")
            elif index < done and name != self.shown:
                self.world.report(task, name, 0, b"deployed 2.4.2\n")
            elif index < done + 90 or name == self.shown:
                self.world.begin(task, name)
        if self.number > 40:
            self.world.disconnect(names[min(len(names) - 2, done + 70)])
        await self.world.conductor.committed()
        return task

    def write(self, task: dict[str, Any]) -> None:
        """LiveProgress output of one host."""
        at = {STDOUT: 0, STDERR: 0}
        lines = [
            (STDOUT, f"draining {self.shown} from the load balancer\n"),
            *((STDOUT, f"open connections: {left}\n") for left in (212, 148, 61, 17, 3, 0)),
        ]
        lines += [
            (STDERR, "warning: 1 session was moved\n"),
            (STDOUT, "fetching app-2.4.2.tar.zst  (48.2 MiB)\n"),
            (STDOUT, "unpacking … done\n"),
            (STDOUT, "migrating session store: 41 %\n"),
        ]
        session = self.world.sessions[self.shown]
        session.output_credit = SessionCredit()
        session.output_credit.grant(1 << 20)
        for stream, text in lines:
            self.world.fleet.watching.take(
                session, task["command"]["command_id"], 1, Piece(stream, at[stream], text.encode())
            )
            at[stream] += len(text.encode())


def pictures(
    folder: Path,
    looks: Mapping[str, tuple[str, dict[str, int]]],
    whole: bool,
    stage: Stage,
    running: dict[str, Any],
    answered: dict[str, Any],
    small: dict[str, Any],
    page: Page,
    browser: Browser,
) -> None:
    def take(name: str, top: str = "header") -> None:
        for look, (scheme, size) in looks.items():
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
            page.set_viewport_size(size)  # type: ignore[arg-type]
            page.wait_for_timeout(250)
            page.locator(top).first.evaluate("one => one.scrollIntoView()")
            where = folder / f"{name}-{look}.png"
            if whole:
                high = min(MOST_PX, int(page.evaluate("document.documentElement.scrollHeight")))
                page.evaluate("scrollTo(0, 0)")
                page.screenshot(
                    path=where,
                    animations="disabled",
                    caret="hide",
                    full_page=True,
                    clip={"x": 0, "y": 0, "width": size["width"], "height": high},
                )
            else:
                page.screenshot(path=where, animations="disabled", caret="hide")

    def task(name: str, which: dict[str, Any], query: str, before: Callable[[], None], top: str) -> None:
        page.goto(f"/tasks/{which['task_id']}{query}")
        settled(page)
        before()
        take(name, top)

    def follow() -> None:
        expect(page.locator("[data-live=on]")).to_be_visible()
        trio.from_thread.run_sync(stage.write, running)
        expect(page.locator(".live pre")).to_contain_text("migrating")

    def choose() -> None:
        boxes = page.locator("ul.hosts input")
        for place in range(boxes.count())[8:10] if stage.number < 1000 else ():
            boxes.nth(place).check()
        page.locator("h1").click()

    def differ() -> None:
        button = page.locator(".group .push > button", has_text=stage.words["groups.diff"]).first
        if stage.number > 40:
            button.click()
            expect(page.locator(".diff")).to_be_visible()

    def fill() -> None:
        page.locator("#text").fill("systemctl restart app && systemctl is-active app")
        page.locator("#targets").fill("web-[001-120] and env=prod and online")
        expect(page.locator("#preview b")).to_be_visible()
        page.locator("form.new .actions .primary").click()
        expect(page.locator(".plan")).to_be_visible()

    page.goto("/login")
    expect(page.locator("#token")).to_be_visible()
    take("login")
    sign_in(page)
    for name, path in (
        ("overview", "/"),
        ("tasks", "/tasks"),
        ("hosts", "/hosts"),
        ("host", f"/hosts/{stage.world.ids[stage.names[min(6, stage.number - 3)]]}"),
        ("help", "/help"),
    ):
        page.goto(path)
        settled(page)
        expect(page.locator("main .card").first).to_be_visible()
        take(name)
    task("task-running", running, f"?host={stage.world.ids[stage.shown]}", follow, "header")
    task("task-small", small, "", choose, "header")
    task("task-answers", answered, "", differ, ".split h2")
    page.goto("/new")
    fill()
    take("new")


async def make(folder: Path, number: int | None, language: str) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        async with trio.open_nursery() as nursery:
            world = await open_world(Path(temporary), nursery)
            stage = Stage(world, number or 516)
            stage.words = orjson.loads(assets()[1][f"i18n/{'zh-CN' if language.startswith('zh') else 'en'}.json"])
            stage.prepare()
            await stage.hosts()
            await stage.past()
            answered = await stage.answers()
            running = await stage.running()
            small = await stage.small()
            address = await served(world, nursery)
            complaints = await trio.to_thread.run_sync(
                partial(
                    browse,
                    partial(pictures, folder, ALL if number else LOOKS, bool(number), stage, running, answered, small),
                    address,
                    locale=language,
                )
            )
            assert not complaints, complaints
            world.shutdown.set()
            await world.aclose()
            nursery.cancel_scope.cancel()


def main(folder: Path, number: int | None = None, language: str = "en-GB") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    trio.run(make, folder, number, language)
    sizes = {path.name: path.stat().st_size for path in sorted(folder.glob("*.png"))}
    print(f"{len(sizes)} pictures, {sum(sizes.values()) / 1e6:.2f} MB, the largest {max(sizes.values()) / 1e3:.0f} kB")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *(int(word) for word in sys.argv[2:3]), *sys.argv[3:4])
