"""Verifies a whole run: every row against the files of its command and the journal of its host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import trio

from agent.core.model import Key
from agent.storage.journal import read_journal
from tests.tools.chaos.site import Api
from tests.tools.chaos.verification import Evidence, Verdict, judge_files, judge_row, judge_task
from tests.tools.chaos.work import KINDS, Work


def said(state: Path) -> dict[Key, tuple[str, str]]:
    """Return the contents of a journal: (outcome, reason) by key; for an unfinished execution its stage and nothing."""
    _, folded, _, _ = read_journal(state / "journal")
    found = {key: (tomb.outcome.name.lower(), tomb.reason) for key, tomb in folded.tombstones.items()}
    for key, execution in folded.executions.items():
        report = execution.report
        found[key] = (report.outcome.name.lower(), report.error_code) if report else (execution.stage.name.lower(), "")
    return found


async def judge_all(
    api: Api, work: Work, names: Sequence[str], verdict: Verdict, affected_by: Mapping[str, set[str]] | None = None
) -> None:
    """Judge all requested tasks. affected_by: kinds of faults by agent that may end an execution."""
    once, twice, log = await trio.to_thread.run_sync(work.files)
    journals = {name: await trio.to_thread.run_sync(said, work.site.state(name)) for name in names}
    known: set[str] = set()
    for task_id, kind in work.tasks.items():
        task, rows = await api.ask("GET", f"/tasks/{task_id}"), await api.rows(task_id)
        judge_task(verdict, task, rows)
        for row in rows:
            name, host = work.name_of(row), row["hostname"]
            known.add(name)
            evidence = Evidence(
                name in once,
                frozenset((affected_by or {}).get(host, ())),
                journals[host].get((row["command_id"], row["attempt"])),
            )
            judge_row(verdict, row, KINDS[kind].expected, evidence)
    judge_files(verdict, known, once, twice, log)
