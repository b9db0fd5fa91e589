"""What `targets` stands for: each item a host's id or name, or a selector; together all hosts that any of them means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from server.core.answers import hosts_of
from server.core.expression import ExpressionError
from server.core.fold import RESERVED
from server.core.selection import Selection, TooCostly, select
from server.core.selector import Names, Results, Selector, parse, results_in
from server.errors import ClarionError
from server.web.answers import AnswerBook
from server.web.checks import of_expression, too_much
from server.web.deps import Deps
from server.web.limits import Limits
from server.web.spec import is_hostname


@dataclass(slots=True)
class Chosen:
    """where: what the request calls the texts. malformed: texts that are no selectors, and why."""

    trees: list[Selector]
    where: str
    malformed: dict[str, ExpressionError] = field(default_factory=dict)
    results: dict[Results, frozenset[str]] = field(default_factory=dict)


def read(texts: Sequence[str], deps: Deps, name: str = "targets") -> Chosen:
    """Raises ClarionError no_hosts, or invalid_expression if there is one text only: of a list, every bad item is to be named.

    An item that is, as it stands, a host's id or name means that host.
    """
    if not texts:
        raise ClarionError("no_hosts", f"{name} is empty", field=name, hint='name hosts, or "all"')
    directory = deps.fleet.directory
    chosen = Chosen([], name)
    for text in dict.fromkeys(texts):
        if text not in RESERVED and (text in directory.hosts or directory.named(text)):
            chosen.trees.append(Names((text,)))
            continue
        try:
            chosen.trees.append(parse(text, deps.limits.expressions))
        except ExpressionError as error:
            if len(texts) == 1:
                raise wrong(error, name, text) from None
            chosen.malformed[text] = error
    return chosen


def wrong(error: ExpressionError, where: str, text: str) -> ClarionError:
    """The error that a client gets, with the column as a member of its own."""
    details: dict[str, object] = {"column": error.column, "expected": error.expected, "text": text[:200]}
    return ClarionError("invalid_expression", f"{where}: {error}", field=where, hint=of_expression(error), details=details)


async def look_up(chosen: Chosen, book: AnswerBook) -> None:
    """Read what the tasks that are mentioned have answered. Raises ClarionError invalid_expression for a task that is not there."""
    for results in dict.fromkeys(found for tree in chosen.trees for found in results_in(tree)):
        try:
            answers = await book.of(results.task_id)
        except ClarionError as error:
            if error.code != "task_not_found":
                raise
            missing = ExpressionError(results.column, "the id of a task that is there", results.task_id)
            raise wrong(missing, chosen.where, f"task:{results.task_id}") from None
        chosen.results[results] = hosts_of(answers.all, results)


def evaluate(chosen: Chosen, deps: Deps) -> Selection:
    """By the hosts as they are now; awaits nothing. Raises ClarionError invalid_expression."""
    try:
        return select(chosen.trees, deps.fleet.directory, deps.fleet.online(), chosen.results, deps.limits.expressions)
    except TooCostly:
        message = f"{chosen.where}: its patterns would have to be compared with more than {deps.limits.expressions.comparisons:,} texts"
        raise ClarionError("invalid_expression", message, field=chosen.where, hint="use fewer patterns, or begin them with letters, or raise limits.selector_comparisons") from None


async def choose_hosts(texts: Sequence[str], deps: Deps, book: AnswerBook, limits: Limits) -> tuple[str, ...]:
    """The host ids that `targets` stands for, as of the return.

    Raises ClarionError no_hosts, invalid_expression, or unknown_hosts with every bad name.
    """
    chosen = read(texts, deps)
    await look_up(chosen, book)
    found = evaluate(chosen, deps)
    if found.unknown or found.ambiguous or chosen.malformed:
        raise _unknown_hosts(found, chosen.malformed)
    if not found.host_ids:
        raise ClarionError("no_hosts", field="targets")
    if len(found.host_ids) > limits.hosts_per_task:
        raise too_much("targets", f"means {len(found.host_ids)} hosts; at most {limits.hosts_per_task} are accepted", "choose fewer hosts", "limits.hosts_per_task")
    return tuple(found.host_ids)


def _unknown_hosts(found: Selection, bad: Mapping[str, ExpressionError]) -> ClarionError:
    # What could never be a host's name is told apart.
    malformed = [name[:255] for name in (*bad, *found.unknown) if name in bad or not is_hostname(name)]
    unknown = [name for name in found.unknown if is_hostname(name)]
    kinds = (("unknown", unknown), ("malformed", malformed), ("ambiguous", list(found.ambiguous)))
    message = "; ".join(f"{word}: {first(names)}" for word, names in kinds if names)
    hint = "use the host ids of ambiguous names; remove the others, or join agents under these names first" if found.ambiguous else None
    details: dict[str, object] = {"unknown": unknown, "malformed": malformed, "ambiguous": {name: list(ids) for name, ids in found.ambiguous.items()}}
    if bad:
        details["errors"] = [{"text": text[:200], "column": error.column, "message": str(error)} for text, error in bad.items()]
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
