"""What `targets` stands for: each item a host's id or name, or a selector; together all hosts that any of them means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from server.core.answers import Answer, hosts_in_slices
from server.core.expression import Bounds, ExpressionError
from server.core.fold import RESERVED
from server.core.selection import Selection, TooCostly, select_in_slices
from server.core.selector import Names, Refinement, Results, Selector, parse_all, results_in
from server.errors import ClarionError
from server.web.answers import AnswerBook
from server.web.checks import of_expression, too_much
from server.web.deps import Deps
from server.web.limits import Limits
from server.web.spec import is_hostname

SHORT = 2_000
"""Characters of selectors without brackets that are read at once; more of them, and what unfolds to many names, are read in a thread."""
NAMED = 1_000
"""Names that an answer lists of each kind; it gives their number in any case."""
TASKS = 16
"""Tasks that the selectors of one request may name: the answers of each are read."""
TRIES = 3
"""Evaluations of a selector while hosts change."""


@dataclass(slots=True)
class Chosen:
    """where: what the request calls the texts. malformed: texts that are no selectors, and why. mentions: of tasks; results: what they stand for."""

    trees: list[Selector]
    where: str
    mentions: list[Results] = field(default_factory=list)
    malformed: dict[str, ExpressionError] = field(default_factory=dict)
    results: dict[Results, frozenset[str]] = field(default_factory=dict)


async def read(texts: Sequence[str], deps: Deps, name: str = "targets") -> Chosen:
    """Raises ClarionError no_hosts, or invalid_expression if there is one text only: of a list, every bad item is to be named.

    An item that is, as it stands, a host's id or name means that host.
    """
    if not texts:
        raise ClarionError("no_hosts", f"{name} is empty", field=name, hint='name hosts, or "all"')
    directory = deps.fleet.directory
    chosen = Chosen([], name)
    known: list[str] = []
    unread: list[str] = []
    for text in dict.fromkeys(texts):
        is_known = text not in RESERVED and (text in directory.hosts or directory.named(text))
        (known if is_known else unread).append(text)
    if known:
        chosen.trees.append(Names(tuple(known)))
    bounds = deps.limits.expressions
    short = sum(map(len, unread)) <= SHORT and not any("[" in text for text in unread)
    parsed, chosen.mentions = _parse(unread, bounds) if short else await deps.slices.thread(_parse, unread, bounds)
    for text, found in zip(unread, parsed, strict=True):
        if not isinstance(found, ExpressionError):
            chosen.trees.append(found)
        elif len(texts) == 1:
            raise wrong(found, name, text) from None
        else:
            chosen.malformed[text] = found
    return chosen


def _parse(texts: Sequence[str], bounds: Bounds) -> tuple[list[Selector | ExpressionError], list[Results]]:
    """Each text's tree or what is wrong with it, and every mention of a task."""
    parsed = parse_all(texts, bounds)
    return parsed, [results for tree in parsed if not isinstance(tree, ExpressionError) for results in results_in(tree)]


def wrong(error: ExpressionError, where: str, text: str) -> ClarionError:
    """The error that a client gets, with the column as a member of its own."""
    details: dict[str, object] = {"column": error.column, "expected": error.expected, "text": text[:200]}
    return ClarionError("invalid_expression", f"{where}: {error}", field=where, hint=of_expression(error), details=details)


async def look_up(chosen: Chosen, deps: Deps, book: AnswerBook) -> None:
    """Read what the tasks that are mentioned have answered. Raises ClarionError invalid_expression for a task that is not there, for too many
    tasks, and for tests that take too long."""
    found: dict[tuple[str, tuple[Refinement, ...]], frozenset[str]] = {}
    left = deps.limits.expressions.comparisons
    for results in chosen.mentions:
        key = (results.task_id, results.refinements)
        if key not in found:
            if len({task_id for task_id, _ in found} | {results.task_id}) > TASKS:
                raise ClarionError("invalid_expression", f"{chosen.where}: more than {TASKS} tasks are named", field=chosen.where, hint=f"name at most {TASKS} tasks")
            answers = await _answers(chosen, results, book)
            left -= sum(one.count for one in answers) // 20 + len(answers) * len(results.refinements) // 2
            if left < 0:
                raise _too_costly(chosen, deps)
            found[key] = await deps.slices.of(hosts_in_slices(answers, results))
        chosen.results[results] = found[key]


async def _answers(chosen: Chosen, results: Results, book: AnswerBook) -> list[Answer]:
    try:
        return (await book.of(results.task_id)).all
    except ClarionError as error:
        if error.code != "task_not_found":
            raise
        missing = ExpressionError(results.column, "the id of a task that is there", results.task_id)
        raise wrong(missing, chosen.where, f"task:{results.task_id}") from None


async def evaluate(chosen: Chosen, deps: Deps) -> Selection:
    """By the hosts as they are at the return. Raises ClarionError invalid_expression; overloaded while so many hosts change that each
    evaluation of a selector that takes long is out of date at its end."""
    directory = deps.fleet.directory
    try:
        for _ in range(TRIES):
            version = directory.version
            found = await deps.slices.of(select_in_slices(chosen.trees, directory, deps.fleet.online(), chosen.results, deps.limits.expressions))
            if directory.version == version:
                return found
    except TooCostly:
        raise _too_costly(chosen, deps) from None
    raise ClarionError("overloaded", f"{chosen.where}: hosts change faster than this selector can be evaluated", field=chosen.where, hint="try again after the time in Retry-After, or use a selector with fewer patterns")


def _too_costly(chosen: Chosen, deps: Deps) -> ClarionError:
    message = f"{chosen.where}: finding its hosts would take longer than {deps.limits.expressions.comparisons / 1_000_000:g} s"
    return ClarionError("invalid_expression", message, field=chosen.where, hint="use fewer patterns, or begin them with letters, or raise limits.selector_comparisons")


async def choose_hosts(texts: Sequence[str], deps: Deps, book: AnswerBook, limits: Limits) -> tuple[str, ...]:
    """The host ids that `targets` stands for, as of the return.

    Raises ClarionError no_hosts, invalid_expression, or unknown_hosts with every bad name.
    """
    chosen = await read(texts, deps)
    await look_up(chosen, deps, book)
    found = await evaluate(chosen, deps)
    if found.unknown or found.ambiguous or chosen.malformed:
        raise _unknown_hosts(found, chosen.malformed)
    if not found.host_ids:
        raise ClarionError("no_hosts", field="targets")
    if len(found.host_ids) > limits.hosts_per_task:
        raise too_much("targets", f"means {len(found.host_ids)} hosts; at most {limits.hosts_per_task} are accepted", "choose fewer hosts", "limits.hosts_per_task")
    return tuple(found.host_ids)


def _unknown_hosts(found: Selection, bad: Mapping[str, ExpressionError]) -> ClarionError:
    # What could never be a host's name is told apart.
    names = [*islice(bad, NAMED), *islice(found.unknown, NAMED)]
    malformed = [name[:255] for name in names if name in bad or not is_hostname(name)]
    unknown = [name for name in names if name not in bad and is_hostname(name)]
    ambiguous = {name: list(ids)[:NAMED] for name, ids in islice(found.ambiguous.items(), NAMED)}
    kinds = (("unknown", unknown), ("malformed", malformed), ("ambiguous", list(ambiguous)))
    message = "; ".join(f"{word}: {first(names)}" for word, names in kinds if names)
    hint = "use the host ids of ambiguous names; remove the others, or join agents under these names first" if found.ambiguous else None
    details: dict[str, object] = {"unknown": unknown, "malformed": malformed, "ambiguous": ambiguous}
    if bad:
        details["errors"] = [{"text": text[:200], "column": error.column, "message": str(error)} for text, error in islice(bad.items(), NAMED)]
    if (total := len(bad) + len(found.unknown) + len(found.ambiguous)) > len(names) + len(ambiguous):
        details["total"] = total
        message = f"{total} names, of which the answer lists {len(names) + len(ambiguous)}; {message}"
    return ClarionError("unknown_hosts", message, field="targets", hint=hint, details=details)


def first(names: Sequence[str], number: int = 5) -> str:
    """The first few, and how many more there are."""
    shown = ", ".join(repr(name[:60]) for name in names[:number])
    return shown if len(names) <= number else f"{shown} and {len(names) - number} more"


def text_of(texts: Sequence[str]) -> str:
    """One selector that means the same as all of them."""
    if len(texts) == 1:
        return texts[0]
    return ", ".join(f"({text})" if any(mark in text for mark in " \t\n(") else text for text in texts)
