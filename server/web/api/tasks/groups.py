"""Endpoints of result groups: hosts with the same result form one group."""

from __future__ import annotations

from server.core.model import Output
from server.core.results.diff import Difference, unified
from server.core.results.filter import Filter, parse_filter
from server.core.results.groups import ResultGroup, largest_first, outliers_first
from server.core.selectors.expression import ExpressionError
from server.errors import ClarionError
from server.web.http.paging import NUMBERED, after_number, page_limit
from server.web.http.query import MAX_MS
from server.web.http.route import Param
from server.web.readmodel.deps import Deps
from server.web.readmodel.group_pages import page_of
from server.web.readmodel.result_groups import ResultGroups, stored_bytes
from server.web.request import ApiRequest, ApiResponse
from server.web.schemas.results import DiffView
from server.web.service.targets import PARSED_INLINE, expression_error

FILTERS = (
    Param(
        "order",
        "string",
        (
            "`largest` (default): largest groups first. `outliers`: groups that did not complete first, the "
            "smallest first."
        ),
        choices=("largest", "outliers"),
    ),
    Param(
        "where",
        "string",
        (
            "Only groups for which this expression is true. It can use status, exit_code, reason, text and "
            "json.PATH; see docs/guide/results.md."
        ),
        example="exit_code!=0 and text contains 'disk full'",
    ),
    *NUMBERED,
)
DIFF = (
    Param("against", "integer", "Number of the group to compare with; by default the largest group."),
    Param("stream", "string", "The stream; by default stdout.", choices=("stdout", "stderr")),
    Param("context", "integer", "Number of equal lines around each change, 0 to 100; by default 3."),
)


async def list_groups(call: ApiRequest, task_id: str) -> ApiResponse:
    """List a task's result groups.

    Hosts with the same result form one group, with its size, the folded names of its hosts, and the beginning of its
    output. The cost depends on the number of groups, not of hosts. `open` counts hosts that have not ended.
    """
    query, deps = call.query, call.deps
    order = largest_first if query.choice("order", "largest", ("largest", "outliers")) == "largest" else outliers_first
    where = await _filter(query.text("where"), deps)
    limit, after = page_limit(query, deps.limits), after_number(query)
    answers = await call.context.result_groups.of(task_id)
    ordered = order(answers.groups)
    start = next((index for index, one in enumerate(ordered, 1) if one.number == after), 0)
    return ApiResponse(await page_of(deps, answers, ordered, start, limit, where))


async def _filter(text: str | None, deps: Deps) -> Filter | None:
    if text is None:
        return None
    bounds = deps.limits.expressions
    try:
        if len(text) <= PARSED_INLINE:
            return parse_filter(text, bounds)
        return await deps.long_work.in_thread(parse_filter, text, bounds)
    except ExpressionError as error:
        raise expression_error(error, "where", text) from None


def _group(answers: ResultGroups, number: str, field: str | None = None) -> ResultGroup:
    """The group with this number. Raises ClarionError group_not_found."""
    wanted = int(number) if number.isascii() and number.isdigit() and len(number) < 10 else 0
    found = next((one for one in answers.groups if one.number == wanted), None)
    if found is None:
        raise ClarionError(
            "group_not_found",
            f"the task has {len(answers.groups)} groups of answers, and none is {number[:20]!r}",
            field=field,
        )
    return found


async def get_diff(call: ApiRequest, task_id: str, number: str) -> ApiResponse:
    """Compare a group's output with the largest group's.

    Or with the group given as `against`. Equal lines at the beginning and at the end do not count towards the limits.
    """
    query, deps = call.query, call.deps
    stream = query.choice("stream", "stdout", ("stdout", "stderr"))
    context = query.integer("context", 3, 0, deps.limits.diff_context)
    against = query.integer("against", 0, 0, MAX_MS)
    answers = await call.context.result_groups.of(task_id)
    one = _group(answers, number)
    other = _group(answers, str(against), "against") if against else largest_first(answers.groups)[0]
    old, new = [await _output(deps, answer, stream) for answer in (other, one)]
    # difflib may take long, so it runs in a thread
    found = await deps.long_work.in_thread(_difference, old, new, context)
    return ApiResponse(
        DiffView(
            group=one.number,
            against=other.number,
            stream=stream,
            diff=found.text,
            removed=found.removed,
            added=found.added,
            exact=found.exact,
            difference=found.kind,
            complete=found.complete
            and not (old is not None and old.truncated)
            and not (new is not None and new.truncated),
        )
    )


def _difference(old: Output | None, new: Output | None, context: int) -> Difference:
    before, after = stored_bytes(old), stored_bytes(new)
    return unified(before, after, context)


async def _output(deps: Deps, answer: ResultGroup, stream: str) -> Output | None:
    """A group's output; None for an empty stream. Raises ClarionError output_not_found."""
    output_id = answer.stdout_id if stream == "stdout" else answer.stderr_id
    if output_id is None:
        return None
    output = await deps.store.output(output_id)
    if output is None:
        raise ClarionError("output_not_found")
    return output
