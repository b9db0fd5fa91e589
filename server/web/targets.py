"""What `targets` stands for: each item a host's id or name, or a selector; together all hosts that any of them means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from server.core.answers import hosts_of
from server.core.expression import ExpressionError, tokens
from server.core.fold import quoted
from server.core.selection import Selection, TooCostly, select
from server.core.selector import Names, Results, Selector, parse, results_in
from server.errors import ClarionError
from server.web.answers import AnswerBook
from server.web.checks import of_expression, too_much
from server.web.deps import Deps
from server.web.limits import Limits
from server.web.unnamed import label, listed, refused

AROUND = 40
"""Characters of a text that an error quotes before and after the place."""


@dataclass(slots=True)
class Chosen:
    """texts: selectors, one for each item, that mean what was asked for. where: what the request calls them. malformed: texts that are no selectors,
    and why."""

    trees: list[Selector]
    texts: list[str]
    where: str
    malformed: dict[str, ExpressionError] = field(default_factory=dict)
    results: dict[Results, frozenset[str]] = field(default_factory=dict)


def read(texts: Sequence[str], deps: Deps, name: str = "targets") -> Chosen:
    """Raises ClarionError no_hosts, or invalid_expression if there is one text only: of a list, every bad item is to be named.

    A text is a selector first. Only what the grammar cannot read is looked up as the name of a host, so that no host can be called in a way that
    changes what a selector means.
    """
    if not texts:
        raise ClarionError("no_hosts", f"{name} is empty", field=name, hint='name hosts, or "all"')
    chosen = Chosen([], [], name)
    for text in dict.fromkeys(texts):
        try:
            tree = parse(text, deps.limits.expressions)
        except ExpressionError as error:
            if deps.fleet.directory.named(text):
                chosen.trees.append(Names((text,)))
                chosen.texts.append(quoted(text))
            elif len(texts) == 1:
                raise wrong(error, name, text) from None
            else:
                chosen.malformed[text] = error
        else:
            chosen.trees.append(tree)
            chosen.texts.append(text)
    return chosen


def wrong(error: ExpressionError, where: str, text: str) -> ClarionError:
    """The error that a client gets, with the column as a member of its own, and the place in the text around it."""
    start = max(0, error.column - 1 - AROUND)
    excerpt = text[start : error.column - 1 + AROUND]
    details: dict[str, object] = {"column": error.column, "expected": error.expected, "text": text[:200], "excerpt": excerpt, "excerpt_column": error.column - start}
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


def meant(chosen: Chosen, deps: Deps) -> Selection:
    """What it stands for. Raises ClarionError unknown_hosts with every name that means no host or several, and every text that is no selector."""
    found = evaluate(chosen, deps)
    if found.unknown or found.ambiguous or chosen.malformed:
        error = refused(deps.fleet, chosen.where, list(found.unknown), found.ambiguous, chosen.malformed)
        if chosen.malformed:
            error.details["errors"] = [{"text": text[:200], "column": one.column, "message": str(one)} for text, one in chosen.malformed.items()]
        raise error
    return found


async def choose_hosts(texts: Sequence[str], deps: Deps, book: AnswerBook, limits: Limits) -> tuple[tuple[str, ...], str]:
    """The host ids that `targets` stands for, as of the return, and one selector that means the same.

    Raises ClarionError no_hosts, invalid_expression, or unknown_hosts with every bad name.
    """
    chosen = read(texts, deps)
    await look_up(chosen, book)
    found = meant(chosen, deps)
    if not found.host_ids:
        raise ClarionError("no_hosts", nothing_matched(found), field="targets")
    if len(found.host_ids) > limits.hosts_per_task:
        raise too_much("targets", f"means {len(found.host_ids)} hosts; at most {limits.hosts_per_task} are accepted", "choose fewer hosts", "limits.hosts_per_task")
    return tuple(found.host_ids), text_of(chosen.texts)


def nothing_matched(found: Selection) -> str | None:
    """A sentence about the tests that hold for no host; None if there is none."""
    return f"No host matches {listed([label(text) for text in found.unmatched])}." if found.unmatched else None


def text_of(texts: Sequence[str]) -> str:
    """One selector that means the same as all of them, each of which is one."""
    if len(texts) == 1:
        return texts[0]
    return ", ".join(text if _is_one_word(text) else f"({text})" for text in texts)


def _is_one_word(text: str) -> bool:
    return len(tokens(text, len(text))) == 2
