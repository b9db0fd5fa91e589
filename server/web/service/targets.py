"""What `targets` stands for: each item a host's id or name, or a selector; together all hosts that any of them
means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

from proto.ids import is_id
from server.core.results.groups import ResultGroup, hosts_in_slices
from server.core.selectors.evaluate import Selection, TooCostly, select_in_slices
from server.core.selectors.expression import Bounds, ExpressionError, tokens
from server.core.selectors.fold import quoted
from server.core.selectors.parser import Names, Refinement, Selector, TaskResults, parse_all, results_in
from server.errors import ClarionError
from server.web.http.limits import Limits
from server.web.readmodel.deps import Deps
from server.web.readmodel.result_groups import ResultGroupCache
from server.web.readmodel.unknown_names import label, listed, refused
from server.web.service.checks import of_expression, too_much

AROUND = 40
"""Characters of a text that an error quotes before and after the place."""

SHORT = 2_000
"""Characters of selectors without brackets that are read at once; more of them, and what unfolds to many names, are
read in a thread."""
NAMED = 1_000
"""Names that an answer lists of each kind; it gives their number in any case."""
TASKS = 16
"""Tasks that the selectors of one request may name: the answers of each are read."""
TRIES = 3
"""Evaluations of a selector while hosts change."""


@dataclass(slots=True)
class Chosen:
    """texts: selectors, one for each item, that mean what was asked for. where: what the request calls them. malformed:
    texts that are no selectors,
    and why. mentions: of tasks; results: what they stand for."""

    trees: list[Selector]
    texts: list[str]
    where: str
    mentions: list[TaskResults] = field(default_factory=list)
    malformed: dict[str, ExpressionError] = field(default_factory=dict)
    results: dict[TaskResults, frozenset[str]] = field(default_factory=dict)


async def read(texts: Sequence[str], deps: Deps, name: str = "targets") -> Chosen:
    """Raises ClarionError no_hosts, or invalid_expression if there is one text only: of a list, every bad item is to be
    named.

    A text is a selector first. Only what the grammar cannot read is looked up as the name of a host, so that no host
    can be called in a way that
    changes what a selector means.
    """
    if not texts:
        raise ClarionError("no_hosts", f"{name} is empty", field=name, hint='name hosts, or "all"')
    chosen = Chosen([], [], name)
    unread = list(dict.fromkeys(texts))
    bounds = deps.limits.expressions
    short = sum(map(len, unread)) <= SHORT and not any("[" in text for text in unread)
    parsed, chosen.mentions = _parse(unread, bounds) if short else await deps.slices.thread(_parse, unread, bounds)
    for text, found in zip(unread, parsed, strict=True):
        if not isinstance(found, ExpressionError):
            chosen.trees.append(found)
            chosen.texts.append(text)
        elif deps.fleet.directory.named(text):
            chosen.trees.append(Names((text,)))
            chosen.texts.append(quoted(text))
        elif len(texts) == 1:
            raise wrong(found, name, text) from None
        else:
            chosen.malformed[text] = found
    return chosen


def _parse(texts: Sequence[str], bounds: Bounds) -> tuple[list[Selector | ExpressionError], list[TaskResults]]:
    """Each text's tree or what is wrong with it, and every mention of a task."""
    parsed = parse_all(texts, bounds)
    return parsed, [results for tree in parsed if not isinstance(tree, ExpressionError) for results in results_in(tree)]


def wrong(error: ExpressionError, where: str, text: str) -> ClarionError:
    """The error that a client gets, with the column as a member of its own, and the place in the text around it."""
    start = max(0, error.column - 1 - AROUND)
    excerpt = text[start : error.column - 1 + AROUND]
    details: dict[str, object] = {
        "column": error.column,
        "expected": error.expected,
        "text": text[:200],
        "excerpt": excerpt,
        "excerpt_column": error.column - start,
    }
    return ClarionError(
        "invalid_expression", f"{where}: {error}", field=where, hint=of_expression(error), details=details
    )


async def look_up(chosen: Chosen, deps: Deps, book: ResultGroupCache) -> None:
    """Read what the tasks that are mentioned have answered. Raises ClarionError invalid_expression for a task that is
    not there, for too many
    tasks, and for tests that take too long."""
    found: dict[tuple[str, tuple[Refinement, ...]], frozenset[str]] = {}
    left = deps.limits.expressions.comparisons
    for results in chosen.mentions:
        key = (results.task_id, results.refinements)
        if key not in found:
            if len({task_id for task_id, _ in found} | {results.task_id}) > TASKS:
                raise ClarionError(
                    "invalid_expression",
                    f"{chosen.where}: more than {TASKS} tasks are named",
                    field=chosen.where,
                    hint=f"name at most {TASKS} tasks",
                )
            answers = await _answers(chosen, results, book)
            left -= sum(one.count for one in answers) // 20 + len(answers) * len(results.refinements) // 2
            if left < 0:
                raise _too_costly(chosen, deps)
            found[key] = await deps.slices.of(hosts_in_slices(answers, results))
        chosen.results[results] = found[key]


async def _answers(chosen: Chosen, results: TaskResults, book: ResultGroupCache) -> list[ResultGroup]:
    try:
        return (await book.of(results.task_id)).all
    except ClarionError as error:
        if error.code != "task_not_found":
            raise
        missing = ExpressionError(results.column, "the id of a task that is there", results.task_id)
        raise wrong(missing, chosen.where, f"task:{results.task_id}") from None


async def evaluate(chosen: Chosen, deps: Deps) -> Selection:
    """By the hosts as they are at the return. Raises ClarionError invalid_expression; overloaded while so many hosts
    change that each
    evaluation of a selector that takes long is out of date at its end."""
    directory = deps.fleet.directory
    try:
        for _ in range(TRIES):
            version = directory.version
            found = await deps.slices.of(
                select_in_slices(chosen.trees, directory, deps.fleet.online(), chosen.results, deps.limits.expressions)
            )
            if directory.version == version:
                return found
    except TooCostly:
        raise _too_costly(chosen, deps) from None
    raise ClarionError(
        "overloaded",
        f"{chosen.where}: hosts change faster than this selector can be evaluated",
        field=chosen.where,
        hint="try again after the time in Retry-After, or use a selector with fewer patterns",
    )


def _too_costly(chosen: Chosen, deps: Deps) -> ClarionError:
    message = (
        f"{chosen.where}: finding its hosts would take longer than "
        f"{deps.limits.expressions.comparisons / 1_000_000:g} s"
    )
    return ClarionError(
        "invalid_expression",
        message,
        field=chosen.where,
        hint="use fewer patterns, or begin them with letters, or raise limits.selector_comparisons",
    )


async def meant(chosen: Chosen, deps: Deps) -> Selection:
    """What it stands for. Raises ClarionError unknown_hosts with the names that mean no host or several, and the texts
    that are no selectors;
    at most NAMED of each kind, and then their number as `total`."""
    found = await evaluate(chosen, deps)
    if found.unknown or found.ambiguous or chosen.malformed:
        error = refused(deps.fleet, chosen.where, list(found.unknown), found.ambiguous, chosen.malformed)
        if max(len(found.unknown), len(found.ambiguous), len(chosen.malformed)) > NAMED:
            error.details["total"] = len(found.unknown) + len(found.ambiguous) + len(chosen.malformed)
        error.details |= {name: value[:NAMED] for name, value in error.details.items() if isinstance(value, list)}
        error.details["ambiguous"] = {name: list(ids)[:NAMED] for name, ids in islice(found.ambiguous.items(), NAMED)}
        if chosen.malformed:
            error.details["errors"] = [
                {"text": text[:200], "column": one.column, "message": str(one)}
                for text, one in islice(chosen.malformed.items(), NAMED)
            ]
        raise error
    return found


async def choose_hosts(
    texts: Sequence[str], deps: Deps, book: ResultGroupCache, limits: Limits
) -> tuple[tuple[str, ...], str]:
    """The host ids that `targets` stands for, as of the return, and one selector that means the same.

    Raises ClarionError no_hosts, invalid_expression, or unknown_hosts with every bad name.
    """
    chosen = await read(texts, deps)
    await look_up(chosen, deps, book)
    found = await meant(chosen, deps)
    if not found.host_ids:
        raise ClarionError("no_hosts", nothing_matched(found), field="targets")
    if len(found.host_ids) > limits.hosts_per_task:
        raise too_much(
            "targets",
            f"means {len(found.host_ids)} hosts; at most {limits.hosts_per_task} are accepted",
            "choose fewer hosts",
            "limits.hosts_per_task",
        )
    return tuple(found.host_ids), text_of(chosen.texts)


def nothing_matched(found: Selection) -> str | None:
    """A sentence about the tests that hold for no host; None if there is none."""
    return f"No host matches {listed([label(text) for text in found.unmatched])}." if found.unmatched else None


def text_of(texts: Sequence[str]) -> str:
    """One selector that means the same as all of them, each of which is one."""
    if len(texts) == 1:
        return texts[0]
    return ", ".join([text if is_id(text) or _is_one_word(text) else f"({text})" for text in texts])


def _is_one_word(text: str) -> bool:
    return len(tokens(text, len(text))) == 2
