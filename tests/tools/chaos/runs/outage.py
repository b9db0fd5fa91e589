"""The database is unavailable for minutes while commands end and new ones are requested.

Ended commands wait on their hosts. Requests are refused or wait. Afterwards every result must exist.
"""

from __future__ import annotations

import signal
import sqlite3
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import trio

from loadtest.measure.proc import rss_kb
from tests.tools.chaos.evidence import judge_all
from tests.tools.chaos.plan import Store
from tests.tools.chaos.site import Api, Site, api_of, database
from tests.tools.chaos.verification import Verdict
from tests.tools.chaos.work import Work

DRAINED = 120.0
TASKS = 8
"""Tasks on all agents before the outage; their commands end evenly during it."""
BEGIN = "until [ -e $PLACE/gone ]; do sleep 0.1; done; sleep {:.2f}; "
"""The duration counts from the outage and not from the command's start, because on a slow machine the first command
would otherwise end before the last one started.
"""
PATIENCE = 35.0
"""Seconds that a client waits for an answer, which the server gives after 30; a shorter outage does not exhaust it."""


@dataclass
class Outage:
    """Findings, in seconds and MiB.

    Attributes:
        drained: From the return of the database until every row has ended.
        refused: Requests for work that were refused during the outage.
        unanswered: Requests that waited longer than their client did.
    """

    agents: int
    seconds: float
    store: Store
    verdict: Verdict = field(default_factory=Verdict)
    rss: list[float] = field(default_factory=list)
    ended_meanwhile: int = 0
    refused: int = 0
    unanswered: int = 0
    drained: float | None = None
    troubles: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not (self.verdict.faults or self.troubles)

    def as_json(self) -> dict[str, Any]:
        return {
            "good": self.good, "agents": self.agents, "seconds": self.seconds, "store": self.store, "executions_that_ended_meanwhile": self.ended_meanwhile,  # noqa: E501
            "requests_refused": self.refused, "requests_unanswered": self.unanswered, "server_rss_mib": {"before": self.rss[0], "peak": max(self.rss), "after": self.rss[-1]} if self.rss else None,  # noqa: E501
            "drained_s": self.drained, "census": vars(self.verdict), "troubles": self.troubles,
        }  # fmt: skip


async def outage(folder: Path, *, agents: int, seconds: float, store: Store) -> Outage:
    """Run the test.

    Raises:
        trio.TooSlowError: The agents cannot be started.
        AssertionError: An answer is not explained by the outage.
    """
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - before anything runs
    found = Outage(agents, seconds, store)
    names = [f"node{number:03}" for number in range(agents)]
    (folder / "place").mkdir()
    with ExitStack() as stack:
        server, settings = stack.enter_context(database(folder)) if store == "mysql" else (None, [])
        site = Site(folder, [*settings, *([f"store.port={server.port}"] if server else [])], server)
        stack.callback(site.stop)
        async with trio.open_nursery() as nursery:
            await site.open(names, nursery)
            async with api_of(site) as api:
                work = Work(site, folder / "place", 1)
                await _without_database(site, api, work, names, found)
                await _drain(api, work, found)
                _sample(site, found)
                await judge_all(api, work, names, found.verdict)
            found.troubles += [f"the server ended by itself with {code}" for code in site.own_exits]
            site.wanted = False
            nursery.cancel_scope.cancel()
    return found


async def _without_database(site: Site, api: Api, work: Work, names: list[str], found: Outage) -> None:
    for number in range(TASKS):
        await work.ask(api, "quick", names, before=BEGIN.format(found.seconds * (number + 0.5) / TASKS))
    with trio.fail_after(60):
        while (await api.ask("GET", "/statistics"))["executions"]["running"] < TASKS * len(names):  # noqa: ASYNC110
            await trio.sleep(0.1)
    _sample(site, found)
    locked = await trio.to_thread.run_sync(_take_away, site)
    begun = trio.current_time()
    (work.place / "gone").touch()
    while trio.current_time() < begun + found.seconds:
        _sample(site, found)
        try:
            answer = await api.once(
                "POST", "/run", json={"targets": names, "argv": ["true"]}, timeout=min(PATIENCE, found.seconds)
            )
        except httpx.ReadTimeout:
            found.unanswered += 1  # the database may be back at any moment, so it is waited for
            continue
        if answer.status_code != 503 or "Retry-After" not in answer.headers:
            found.troubles.append(
                f"without a database a request for work was answered with {answer.status_code}: {answer.text[:200]}"
            )
        found.refused += 1
        await trio.sleep(1.0)
    found.ended_meanwhile = len(work.files()[0]) - len(site.commands())
    await trio.to_thread.run_sync(_give_back, site, locked)


def _take_away(site: Site) -> sqlite3.Connection | None:
    if site.database is not None:
        site.database.kill(signal.SIGKILL)
        return None
    other = sqlite3.connect(site.data / "clarion.db", isolation_level=None, timeout=30, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    return other


def _give_back(site: Site, locked: sqlite3.Connection | None) -> None:
    if locked is not None:
        locked.execute("ROLLBACK")
        locked.close()
    else:
        assert site.database is not None
        site.database.start()


def _sample(site: Site, found: Outage) -> None:
    assert site.server is not None
    found.rss.append(round((rss_kb(site.server.pid) or 0) / 1024, 1))


async def _drain(api: Api, work: Work, found: Outage) -> None:
    begun = trio.current_time()
    with trio.move_on_after(DRAINED):
        for task_id in work.tasks:
            while (await api.ask("GET", f"/tasks/{task_id}"))["status"] in ("pending", "running"):  # noqa: ASYNC110
                await trio.sleep(0.1)
        found.drained = round(trio.current_time() - begun, 1)
    if found.drained is None:
        found.troubles.append(f"not everything had ended {DRAINED:g} s after the database's return")
