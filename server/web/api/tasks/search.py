"""Endpoint of the full-text search in a task's outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from server.core.model import Output
from server.core.results.groups import ResultGroup
from server.errors import ClarionError
from server.web.http.paging import NUMBERED, after_number, page_limit
from server.web.http.route import Param
from server.web.readmodel.result_groups import GroupMembers, ReadBudget, members_of
from server.web.request import ApiRequest, ApiResponse
from server.web.schemas.results import FirstHost, SearchHit, SearchPage

LINE_CHARS = 300
INLINE_BYTES = 16 * 1024
"""Outputs up to this many bytes are searched on the event loop. Longer ones are searched in a thread, because the time
may be the product of both lengths."""

SEARCH = (
    Param("text", "string", "Text to search for, at most 1,000 bytes.", required=True),
    Param("ignore_case", "boolean", "Ignore the case of the letters A to Z."),
    *NUMBERED,
)


@dataclass(frozen=True, slots=True)
class _Found:
    """Matches in one output.

    Attributes:
        matches: Number of matches.
        line: Line number of the first match; None if it follows a part that is not stored.
        text: That line.
    """

    matches: int
    line: int | None
    text: str


async def search_outputs(call: ApiRequest, task_id: str) -> ApiResponse:
    """Search all outputs of a task.

    Searches the stored part of the outputs, each different output once, in the order of the groups. One request reads
    at most http.search_max_outputs outputs, so a page may be empty although there is a next page.
    """
    query, deps = call.query, call.deps
    text = query.text("text")
    if text is None:
        raise ClarionError("missing_field", "the text to search for is missing", field="text", hint="add text=")
    most = deps.limits.search_text_bytes
    if len(text.encode()) > most:
        raise ClarionError(
            "invalid_value",
            f"text is longer than {most:,} bytes",
            field="text",
            hint=f"search for at most {most:,} bytes",
        )
    ignore_case = query.flag("ignore_case") is True
    needle = text.encode().lower() if ignore_case else text.encode()
    limit = page_limit(query, deps.limits)
    start = at = after_number(query)
    answers = await call.context.result_groups.of(task_id)
    outputs = list(_outputs(answers.groups).items())
    budget, hits = ReadBudget(deps), list[SearchHit]()
    while at < len(outputs) and len(hits) < limit and not budget.spent:
        output_id, places = outputs[at]
        output = await budget.output(output_id)
        large = output is not None and len(output.head) + len(output.tail) > INLINE_BYTES
        found = (
            await deps.long_work.in_thread(_search, output, needle, ignore_case)
            if large
            else _search(output, needle, ignore_case)
        )
        if found is not None:
            hits += [_hit(await members_of(deps, answers, answer), answer, stream, found) for answer, stream in places]
        at += 1
    return ApiResponse(
        SearchPage(task_id=task_id, searched=at - start, items=hits, next=at if at < len(outputs) else None)
    )


def _outputs(groups: Sequence[ResultGroup]) -> dict[bytes, list[tuple[ResultGroup, str]]]:
    """Output id → the streams of groups that have it. Later groups are only appended, so positions are stable."""
    found: dict[bytes, list[tuple[ResultGroup, str]]] = {}
    for answer in groups:
        for stream, output_id in (("stdout", answer.stdout_id), ("stderr", answer.stderr_id)):
            if output_id is not None:
                found.setdefault(output_id, []).append((answer, stream))
    return found


def _search(output: Output | None, needle: bytes, ignore_case: bool) -> _Found | None:
    if output is None:
        return None
    head, tail = (part.lower() if ignore_case else part for part in (output.head, output.tail))
    if not output.truncated:
        head, tail = head + tail, b""
    matches = head.count(needle) + tail.count(needle)
    if not matches:
        return None
    in_tail = needle not in head
    searched = tail if in_tail else head
    original = output.tail if in_tail else output.head if output.truncated else output.head + output.tail
    at = searched.find(needle)
    start, end = original.rfind(b"\n", 0, at) + 1, original.find(b"\n", at)
    start = max(start, at - LINE_CHARS // 2)
    line = original[start : end if end >= 0 else None][: LINE_CHARS * 4].decode("utf-8", "replace")[:LINE_CHARS]
    return _Found(matches, None if in_tail else original.count(b"\n", 0, at) + 1, line)


def _hit(members: GroupMembers, answer: ResultGroup, stream: str, found: _Found) -> SearchHit:
    return SearchHit(
        group=answer.number,
        count=answer.count,
        folded=members.folded.text,
        more=members.folded.more,
        first_host=FirstHost(host_id=members.host_id, hostname=members.hostname),
        stream=stream,
        matches=found.matches,
        line=found.line,
        text=found.text,
    )
