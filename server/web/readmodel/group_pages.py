"""Pages of result groups, as clients receive them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import trio

from server.core.results.filter import Filter, GroupWithOutput, cost, matches, needs_output
from server.core.results.groups import ResultGroup, largest_first
from server.core.states import ExecutionStatus
from server.store.base import Beginning
from server.web.readmodel.deps import Deps
from server.web.readmodel.lookup import command_of
from server.web.readmodel.result_groups import ReadBudget, ResultGroups, members_of, stored_bytes
from server.web.readmodel.serialize import group_view
from server.web.schemas.results import GroupPage, GroupView

BEGINNING = 2_048
"""Bytes of each output in a list."""
INLINE_BYTES = 1 << 20
"""Bytes that are filtered before the event loop runs other tasks. A group with more is filtered in a thread."""


async def first_page(deps: Deps, answers: ResultGroups, limit: int) -> GroupPage:
    """The page with the largest groups."""
    ordered = largest_first(answers.groups)
    return await page_of(deps, answers, ordered, 0, limit, None)


async def page_of(
    deps: Deps, answers: ResultGroups, ordered: Sequence[ResultGroup], start: int, limit: int, where: Filter | None
) -> GroupPage:
    """The page that begins at position `start`. Its `next` is the last group that was examined."""
    page, last = await _matching(deps, ordered, start, where, limit, ReadBudget(deps))
    return GroupPage(
        task_id=answers.task.task_id,
        status=answers.task.status.label,
        version=answers.task.version,
        groups=len(answers.groups),
        hosts=sum(one.count for one in answers.groups),
        open=_open(answers),
        items=await _views(deps, answers, page),
        next=ordered[last - 1].number if last < len(ordered) else None,
    )


def _open(answers: ResultGroups) -> dict[str, int]:
    counts = {status.label: 0 for status in ExecutionStatus if not status.final}
    for one in answers.open:
        counts[one.status.label] += one.count
    return counts


def _holds(where: Filter, answer: ResultGroup, texts: Sequence[bytes]) -> bool:
    return matches(where, GroupWithOutput(answer, *texts))


async def _matching(
    deps: Deps, ordered: Sequence[ResultGroup], start: int, where: Filter | None, limit: int, budget: ReadBudget
) -> tuple[list[ResultGroup], int]:
    """The groups on the page, and the position after the last group that was examined."""
    page: list[ResultGroup] = []
    needs_outputs = where is not None and needs_output(where)
    fixed, since = 0 if where is None else cost(where, 0), 0
    for index in range(start, len(ordered)):
        if len(page) == limit or budget.spent:
            return page, index
        one = ordered[index]
        if where is not None:
            texts = (
                [stored_bytes(await budget.output(output_id)) for output_id in (one.stdout_id, one.stderr_id)]
                if needs_outputs
                else []
            )
            work = cost(where, sum(map(len, texts))) if needs_outputs else fixed
            budget.scanned(work)
            since += work
            if since > INLINE_BYTES:
                since = 0
                await trio.lowlevel.checkpoint()
            if not (
                matches(where, GroupWithOutput(one, *texts))
                if work <= INLINE_BYTES
                else await deps.long_work.in_thread(_holds, where, one, texts)
            ):
                continue
        page.append(one)
    return page, len(ordered)


async def _views(deps: Deps, answers: ResultGroups, page: Sequence[ResultGroup]) -> list[GroupView]:
    ids = list({output_id for one in page for output_id in one.outputs})
    begins: Mapping[bytes, Beginning] = await deps.store.output_beginnings(ids, BEGINNING) if ids else {}
    command = await command_of(deps, answers.task.task_id)
    views: list[GroupView] = []
    for one in page:
        members = await members_of(deps, answers, one)
        row = await deps.store.execution(command.command_id, members.host_id) if one.error_code is not None else None
        detail = row.execution.error_message if row is not None else None
        views.append(group_view(answers.task.task_id, one, members, begins, detail, answers.notes.get(one.kind, ())))
    return views
