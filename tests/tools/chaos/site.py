"""The system under test: server, database and agents behind proxy ports, all real processes; and a client
of its API.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import trio

from tests.mariadb import PASSWORD, USER, MariaDB, running
from tests.system.rig import Process, Rig
from tests.tools.chaos.proxy import ProxyPort

SILENCE, BACKOFF_MAX, CONNECT_TIMEOUT = 8.0, 5.0, 10.0
SERVER = {
    # with half of both values, heartbeats of 200 agents and reconnects of agents that got no CPU for 4 s used most of
    # two cores
    "liveness.heartbeat": "2",
    "liveness.heartbeat_timeout": f"{SILENCE:g}",
    "liveness.watchdog_margin": "5",
    # all agents of this machine have the same address
    "agent_port.connections_per_address": "100000",
    "guard.refusals_per_minute": "1000000",
    # a silenced connection is still open when its agent reconnects: each such reconnect is a takeover
    "enrol.max_takeovers": "1000",
}
"""Server settings that differ from the defaults, so that a run takes minutes."""
AGENT = {
    "CLARION_AGENT_BACKOFF_BASE": "0.2",
    "CLARION_AGENT_BACKOFF_MAX": f"{BACKOFF_MAX:g}",
    # the times for handshake and Welcome are the product's own: with shorter ones, and pauses of at most 2 s, 200
    # agents with too little CPU abandoned each handshake before its turn, and kept the server busy with abandoned
    # handshakes
    "CLARION_AGENT_CONNECT_TIMEOUT": f"{CONNECT_TIMEOUT:g}",
    # reserve of each journal: 200 agents share one disk here
    "CLARION_AGENT_JOURNAL_BYTES": "262144",
    "CLARION_AGENT_RESERVE_BYTES": "262144",
}
"""Agent settings that differ from the defaults."""
TAKE_AGAIN = frozenset((429, 500, 502, 503, 504, 507))


class Site(Rig):
    """The system under test.

    Attributes:
        doors: Proxy port of each agent by name.
        own_exits: Exit codes of servers that ended without being killed.
        agent_exits: Name and exit code of agents that ended without being killed.
        down: Killed agents that the supervisor must not restart.
    """

    def __init__(
        self, folder: Path, store: Sequence[str] = (), database: MariaDB | None = None, more: Sequence[str] = ()
    ) -> None:
        super().__init__(folder, [*(f"{key}={value}" for key, value in SERVER.items()), *store, *more])
        self.agent_env = dict(AGENT)
        self.database = database
        self.proxies: dict[str, ProxyPort] = {}
        self.database_door: ProxyPort | None = None
        self.wanted = False
        self.own_exits: list[int] = []
        self.agent_exits: list[tuple[str, int]] = []
        self.down: set[str] = set()
        self._locks: dict[str, trio.Lock] = defaultdict(trio.Lock)
        self._places: dict[str, Path] = {}

    def live_on(self, name: str, place: Path) -> None:
        """Store this agent's state in that directory."""
        self._places[name] = place

    def state(self, name: str) -> Path:
        return self._places.get(name) or super().state(name)

    # --- processes
    # ------------------------------------------------------------------------------------------------------

    async def open(self, names: Sequence[str], nursery: trio.Nursery, at_once: int = 6) -> None:
        """Start server and agents, and wait until they are connected. A supervisor restarts each when it ends, like
        systemd.
        """
        (self.folder / "agents").mkdir(exist_ok=True)
        self.wanted = True
        await trio.to_thread.run_sync(self.start_server)
        nursery.start_soon(self._supervise)
        for name in names:
            proxy = self.proxies[name] = ProxyPort(("127.0.0.1", self.agent_port))
            await nursery.start(proxy.serve)
        limit = trio.CapacityLimiter(at_once)
        async with trio.open_nursery() as starting:
            for name in names:
                starting.start_soon(self._first_start, name, limit)

    async def _first_start(self, name: str, limit: trio.CapacityLimiter) -> None:
        async with limit:
            await self.begin_agent(name)
            await self.session_open(name, 0, 120)

    async def begin_agent(self, name: str) -> Process:
        """Start an agent without waiting for its session."""
        async with self._locks[name]:
            process = await self._start_agent(name)
            self.down.discard(name)
        return process

    async def _start_agent(self, name: str) -> Process:
        return await trio.to_thread.run_sync(self.start_agent, name, "--server", f"127.0.0.1:{self.proxies[name].port}")

    async def kill_agent(self, name: str) -> None:
        """Send SIGKILL; the agent stays down until begin_agent."""
        async with self._locks[name]:
            self.down.add(name)
            await trio.to_thread.run_sync(self.agents[name].kill)

    def log_size(self, name: str) -> int:
        path = self.folder / f"{name}.log"
        return path.stat().st_size if path.exists() else 0

    async def session_open(self, name: str, since: int, within: float) -> float:
        """Return the seconds until the agent's log, from byte `since` on, shows a session.

        Raises:
            trio.TooSlowError: There was none in time.
        """
        begun = trio.current_time()
        path = self.folder / f"{name}.log"
        with trio.fail_after(within):
            while True:
                with path.open("rb") as log:
                    log.seek(since)
                    if b"session_opened" in log.read():
                        return trio.current_time() - begun
                await trio.sleep(0.05)

    async def _supervise(self) -> None:
        while True:
            await trio.sleep(0.05)
            if self.wanted and self.server is not None and (code := self.server.popen.poll()) is not None:
                self.own_exits.append(code)
                await trio.sleep(0.3)
                if self.wanted:
                    self.launch_server()
            for name, agent in list(self.agents.items()):
                if agent.popen.poll() is not None and name not in self.down:
                    await self._start_again(name)

    async def _start_again(self, name: str) -> None:
        """Restart an agent that has ended by itself."""
        async with self._locks[name]:
            code = self.agents[name].popen.poll()
            if code is not None and name not in self.down:
                self.agent_exits.append((name, code))
                await self._start_agent(name)

    def tell(self, name: str) -> str:
        """Describe an agent, for an error report."""
        code = self.agents[name].popen.poll()
        ends = (self.folder / f"{name}.log").read_text(errors="replace").splitlines()[-4:]
        return f"its process {'lives' if code is None else f'has ended with {code}'}, its log ends: {ends}"

    async def kill_server(self, seconds: float) -> None:
        """Send SIGKILL, and start another server after some seconds."""
        assert self.server is not None
        self.wanted = False
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(self.server.kill)
        await trio.sleep(seconds)
        self.launch_server()
        self.wanted = True


class Api:
    """REST client for a server that restarts. trouble: unexpected answers, in words."""

    def __init__(self, site: Site, client: httpx.AsyncClient) -> None:
        self._site, self._client = site, client
        self.trouble: list[str] = []
        self.repeats = 0

    async def ask(self, method: str, path: str, *, within: float = 120.0, also: str = "", **how: Any) -> Any:
        """Repeat a request until it is answered. Only for GET, with an Idempotency-Key, or where a second execution is
        harmless.

        Args:
            also: Code of an error that counts as a good answer.

        Raises:
            trio.TooSlowError: There was no answer in time.
            AssertionError: No fault explains the answer.
        """
        with trio.fail_after(within):
            while True:
                try:
                    answer = await self._client.request(method, f"/api/v1{path}", **how)
                except httpx.TransportError:
                    self.repeats += 1
                    await trio.sleep(0.1)
                    continue
                if answer.is_success or (also and answer.status_code < 500 and answer.json()["error"]["code"] == also):
                    return answer.json()
                if answer.status_code not in TAKE_AGAIN:
                    raise AssertionError(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
                if answer.status_code == 500:
                    self.trouble.append(f"{method} {path}: 500 {answer.text[:200]}")
                self.repeats += 1
                await trio.sleep(0.1)

    async def once(self, method: str, path: str, **how: Any) -> httpx.Response:
        """Send a request once and return any answer.

        Raises:
            httpx.TransportError: There was no answer.
        """
        return await self._client.request(method, f"/api/v1{path}", **how)

    async def well(self) -> bool:
        """Return True if the server accepts work and all its parts are well. Alarms are ignored, because they stay for
        minutes.
        """
        with suppress(httpx.TransportError), trio.move_on_after(3):
            ready, deep = await self._client.get("/health/ready"), await self._client.get("/health/deep")
            checks = deep.json().get("checks", {})
            return (
                ready.status_code == 200
                and bool(checks)
                and all(check["ok"] for part, check in checks.items() if part != "alarms")
            )
        return False

    async def connected(self) -> int:
        """Return the number of connected hosts; -1 without an answer."""
        with suppress(httpx.TransportError), trio.move_on_after(2):
            answer = await self._client.get("/api/v1/statistics")
            if answer.is_success:
                return int(answer.json()["hosts"]["connected"])
        return -1

    async def gone(self) -> set[str]:
        """Return the names of offline hosts."""
        found: set[str] = set()
        after: str | None = None
        while True:
            page = await self.ask(
                "GET", "/hosts", within=10, params={"limit": 200, **({"after": after} if after else {})}
            )
            found |= {host["hostname"] for host in page["items"] if not host["connected"]}
            after = page["next"]
            if after is None:
                return found

    async def unwell(self) -> str:
        """Return the failing health checks, in words."""
        try:
            ready, deep = await self._client.get("/health/ready"), await self._client.get("/health/deep")
        except httpx.TransportError as error:
            return repr(error)
        return f"{ready.status_code}, " + str(
            {part: check for part, check in deep.json().get("checks", {}).items() if not check["ok"]}
        )

    async def rows(self, task_id: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        after: str | None = None
        while True:
            page = await self.ask(
                "GET", f"/tasks/{task_id}/hosts", params={"limit": 200, **({"after": after} if after else {})}
            )
            rows += page["items"]
            after = page["next"]
            if after is None:
                return rows


@asynccontextmanager
async def api_of(site: Site) -> AsyncIterator[Api]:
    token = (site.data / "admin.token").read_text().strip()
    limits = httpx.Limits(max_connections=20)
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{site.http_port}",
        headers={"Authorization": f"Bearer {token}"},
        timeout=10,
        limits=limits,
    ) as client:
        yield Api(site, client)


@contextmanager
def database(folder: Path) -> Iterator[tuple[MariaDB, list[str]]]:
    """Start a private MariaDB and return the settings for it; the caller adds store.port."""
    secret = folder / "mysql.password"
    secret.touch(mode=0o600)
    secret.write_text(PASSWORD + "\n")
    with running() as server:
        try:
            name = server.new_database()
            yield (
                server,
                [
                    "store.kind=mysql",
                    "store.host=127.0.0.1",
                    f"store.user={USER}",
                    f"store.database={name}",
                    f"store.password_file={secret}",
                ],
            )
        finally:
            with suppress(ProcessLookupError):
                server.kill(signal.SIGCONT)  # a stopped one would be killed as well, but a test must not rely on it


_numbers = itertools.count()


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[Path]:
    """Mount a file system in memory at `place`. Needs root.

    Raises:
        CalledProcessError: The mount failed.
    """
    place.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "clarion-chaos", place], check=True, capture_output=True
    )
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def fill(disk: Path) -> Path:
    """Fill the disk completely without changing existing files; return the file to remove."""
    filler = disk / f"filler{next(_numbers)}"
    fd = os.open(filler, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        for size in (1 << 20, 4096, 1):
            with suppress(OSError):
                while os.write(fd, bytes(size)):
                    pass
    finally:
        os.close(fd)
    return filler
