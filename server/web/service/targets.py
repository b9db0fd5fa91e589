"""Resolves `targets` into hosts. Each item is a host's id or name, or a selector; the result is the union."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from itertools import islice

from proto.ids import is_id
from server.core.results.groups import ResultGroup, hosts_in_slices
from server.core.selectors.evaluate import Selection, TooCostly, select_in_slices
from server.core.selectors.expression import Bounds, ExpressionError, tokens
from server.core.selectors.fold import quoted
from server.core.selectors.host_sets import HostSets, Meaning, UnknownSet, meanings
from server.core.selectors.parser import Names, Refinement, Selector, TaskResults, parse_all, results_in
from server.errors import ClarionError
from server.web.readmodel.deps import Deps
from server.web.readmodel.result_groups import ResultGroupCache
from server.web.readmodel.unknown_names import DETAILED, label, listed, refused
from server.web.service.checks import over_limit

EXCERPT = 40
"""Characters that an error quotes before and after the wrong place in a selector."""
PARSED_INLINE = 2_000
"""Characters of selectors without brackets that are parsed on the event loop. Longer selectors, and brackets, which may
stand for many names, are parsed in a thread."""
TASKS = 16
"""Tasks whose results the selectors of one request may refer to."""
TRIES = 3
"""Evaluations of a selector while hosts change."""


@dataclass(slots=True)
class ParsedTargets:
    """Targets that are parsed and not evaluated yet.

    Attributes:
        trees: The syntax tree of each selector.
        texts: The text of each selector, parallel to `trees`.
        where: Name of the field or parameter that holds the targets, for errors.
        mentions: References to results of tasks.
        malformed: Texts that are not selectors, each with its error.
        results: Mention → the hosts that it stands for; filled by `load_results`.
        sets: Host set → its meaning, for every set that the selectors reach.
        versions: Host set → its version, for the same sets.
    """

    trees: list[Selector]
    texts: list[str]
    where: str
    mentions: list[TaskResults] = field(default_factory=list)
    malformed: dict[str, ExpressionError] = field(default_factory=dict)
    results: dict[TaskResults, frozenset[str]] = field(default_factory=dict)
    sets: dict[str, Meaning] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)


async def parse_targets(texts: Sequence[str], deps: Deps, where: str = "targets") -> ParsedTargets:
    """Parse targets.

    A text is a selector if the grammar accepts it, and only otherwise the name of a host. So no host name can change
    the meaning of a selector.

    Args:
        texts: The targets.
        deps: The parts of the server.
        where: Name of the field or parameter that holds the targets, for errors.

    Raises:
        ClarionError: no_hosts if there are no targets; invalid_expression if the only target is not a selector. With
            several targets, `malformed` of the result contains the wrong ones. unknown_set if a host set does not
            exist.
    """
    if not texts:
        raise ClarionError("no_hosts", f"{where} is empty", field=where, hint='name hosts, or "all"')
    targets = ParsedTargets([], [], where)
    unread = list(dict.fromkeys(texts))
    bounds = deps.limits.expressions
    inline = sum(map(len, unread)) <= PARSED_INLINE and not any("[" in text for text in unread)
    parsed, targets.mentions = (
        _parse(unread, bounds) if inline else await deps.long_work.in_thread(_parse, unread, bounds)
    )
    for text, found in zip(unread, parsed, strict=True):
        if not isinstance(found, ExpressionError):
            targets.trees.append(found)
            targets.texts.append(text)
        elif deps.fleet.directory.named(text):
            targets.trees.append(Names((text,)))
            targets.texts.append(quoted(text))
        elif len(texts) == 1:
            raise expression_error(found, where, text) from None
        else:
            targets.malformed[text] = found
    targets.sets = await _host_sets(targets, deps)
    for meaning in targets.sets.values():
        if not isinstance(meaning, Set):
            targets.mentions += results_in(meaning)
    return targets


async def _host_sets(targets: ParsedTargets, deps: Deps) -> dict[str, Meaning]:
    """The host sets that the selectors reach, as they are now.

    Raises:
        ClarionError: unknown_set; invalid_expression if the sets unfold to too many names.
    """
    bounds = deps.limits.expressions
    try:
        reached = deps.records.of(HostSets).reached(targets.trees)
        targets.versions = {name: one.version for name, one in reached.items()}
        texts = [one.selector for one in reached.values()]
        if sum(map(len, texts)) <= PARSED_INLINE and not any("[" in text for text in texts):
            return meanings(reached.values(), bounds)
        return await deps.long_work.in_thread(meanings, list(reached.values()), bounds)
    except UnknownSet as error:
        near = f" Did you mean {' or '.join(f'@{name}' for name in error.near)}?" if error.near else ""
        raise ClarionError(
            "unknown_set",
            f"{targets.where}: There is no host set named '@{error.name}'.{near}",
            field=targets.where,
            details={"set": error.name, "near": error.near, "column": error.column},
        ) from None
    except ExpressionError as error:
        raise expression_error(error, targets.where, "the host sets together") from None


def _parse(texts: Sequence[str], bounds: Bounds) -> tuple[list[Selector | ExpressionError], list[TaskResults]]:
    """The syntax tree or the error of each text, and all mentions of tasks."""
    parsed = parse_all(texts, bounds)
    return parsed, [results for tree in parsed if not isinstance(tree, ExpressionError) for results in results_in(tree)]


def expression_error(error: ExpressionError, field: str, text: str) -> ClarionError:
    """The invalid_expression error for a text. Its details contain the column and an excerpt around it."""
    start = max(0, error.column - 1 - EXCERPT)
    details: dict[str, object] = {
        "column": error.column,
        "expected": error.expected,
        "text": text[:200],
        "excerpt": text[start : error.column - 1 + EXCERPT],
        "excerpt_column": error.column - start,
    }
    return ClarionError("invalid_expression", f"{field}: {error}", field=field, hint=_remedy(error), details=details)


def _remedy(error: ExpressionError) -> str | None:
    """Return the remedy for an exceeded limit; None for other errors, whose remedy is to correct the text."""
    if not error.expected.startswith("at most"):
        return None
    if error.expected.endswith("characters"):
        return "write a shorter expression, or raise limits.expression_chars"
    if error.expected.endswith("names"):
        return (
            "name fewer hosts in brackets, or raise limits.selector_names (with * or ? in the word: "
            "limits.selector_patterns)"
        )
    return "use fewer parentheses and nots; this limit is fixed"


async def load_results(targets: ParsedTargets, deps: Deps, cache: ResultGroupCache) -> None:
    """Load the results of the tasks that the selectors mention.

    Raises:
        ClarionError: invalid_expression if a task does not exist, if there are too many tasks, or if the conditions
            are too expensive.
    """
    found: dict[tuple[str, tuple[Refinement, ...]], frozenset[str]] = {}
    left = deps.limits.expressions.comparisons
    for results in targets.mentions:
        key = (results.task_id, results.refinements)
        if key not in found:
            if len({task_id for task_id, _ in found} | {results.task_id}) > TASKS:
                raise ClarionError(
                    "invalid_expression",
                    f"{targets.where}: the selectors mention more than {TASKS} tasks",
                    field=targets.where,
                    hint=f"mention at most {TASKS} tasks",
                )
            groups = await _groups(targets, results, cache)
            left -= sum(one.count for one in groups) // 20 + len(groups) * len(results.refinements) // 2
            if left < 0:
                raise _too_costly(targets, deps)
            found[key] = await deps.long_work.in_slices(hosts_in_slices(groups, results))
        targets.results[results] = found[key]


async def _groups(targets: ParsedTargets, results: TaskResults, cache: ResultGroupCache) -> list[ResultGroup]:
    try:
        return (await cache.of(results.task_id)).all
    except ClarionError as error:
        if error.code != "task_not_found":
            raise
        missing = ExpressionError(results.column, "the id of an existing task", results.task_id)
        raise expression_error(missing, targets.where, f"task:{results.task_id}") from None


async def evaluate(targets: ParsedTargets, deps: Deps) -> Selection:
    """Find the hosts that the selectors match at the time of the return.

    Raises:
        ClarionError: invalid_expression if the evaluation is too expensive; overloaded if the hosts changed during
            each of several evaluations.
    """
    directory = deps.fleet.directory
    try:
        for _ in range(TRIES):
            version = directory.version
            found = await deps.long_work.in_slices(
                select_in_slices(
                    targets.trees,
                    directory,
                    deps.fleet.online(),
                    targets.results,
                    deps.limits.expressions,
                    targets.sets,
                )
            )
            if directory.version == version:
                return found
    except TooCostly:
        raise _too_costly(targets, deps) from None
    raise ClarionError(
        "overloaded",
        f"{targets.where}: hosts change faster than this selector can be evaluated",
        field=targets.where,
        hint="try again after the time in Retry-After, or use a selector with fewer patterns",
    )


def _too_costly(targets: ParsedTargets, deps: Deps) -> ClarionError:
    seconds = deps.limits.expressions.comparisons / 1_000_000
    return ClarionError(
        "invalid_expression",
        f"{targets.where}: finding its hosts would take longer than {seconds:g} s",
        field=targets.where,
        hint="use fewer patterns, or begin them with letters, or raise limits.selector_comparisons",
    )


async def resolve(targets: ParsedTargets, deps: Deps) -> Selection:
    """Find the hosts that the selectors match, and refuse names that match no host or several.

    Raises:
        ClarionError: As `evaluate`; unknown_hosts. The details list up to DETAILED wrong names of each kind, and their
            number as `total` if there are more.
    """
    found = await evaluate(targets, deps)
    if found.unknown or found.ambiguous or targets.malformed:
        error = refused(deps.fleet, targets.where, list(found.unknown), found.ambiguous, targets.malformed)
        if max(len(found.unknown), len(found.ambiguous), len(targets.malformed)) > DETAILED:
            error.details["total"] = len(found.unknown) + len(found.ambiguous) + len(targets.malformed)
        error.details |= {name: value[:DETAILED] for name, value in error.details.items() if isinstance(value, list)}
        ambiguous = islice(found.ambiguous.items(), DETAILED)
        error.details["ambiguous"] = {name: list(ids)[:DETAILED] for name, ids in ambiguous}
        if targets.malformed:
            error.details["errors"] = [
                {"text": text[:200], "column": one.column, "message": str(one)}
                for text, one in islice(targets.malformed.items(), DETAILED)
            ]
        raise error
    return found


@dataclass(frozen=True, slots=True)
class ChosenHosts:
    """The hosts of a new task.

    Attributes:
        host_ids: Their ids.
        text: One selector with the same meaning as all targets together.
        sets: The host sets that the targets used, each with its version.
    """

    host_ids: tuple[str, ...]
    text: str
    sets: dict[str, int]


async def choose_hosts(texts: Sequence[str], deps: Deps, cache: ResultGroupCache) -> ChosenHosts:
    """Resolve the targets of a task, as they are at the time of the return.

    Raises:
        ClarionError: no_hosts, invalid_expression, invalid_value, overloaded, or unknown_hosts with all wrong names.
    """
    targets = await parse_targets(texts, deps)
    await load_results(targets, deps, cache)
    found = await resolve(targets, deps)
    if not found.host_ids:
        raise ClarionError("no_hosts", nothing_matched(found), field="targets")
    most = deps.limits.hosts_per_task
    if len(found.host_ids) > most:
        raise over_limit(
            "targets",
            f"match {len(found.host_ids)} hosts; at most {most} are accepted",
            "choose fewer hosts",
            "limits.hosts_per_task",
        )
    return ChosenHosts(tuple(found.host_ids), combined(targets.texts), targets.versions)


def nothing_matched(found: Selection) -> str | None:
    """A sentence that names the conditions that match no host; None if each matches some."""
    return f"No host matches {listed([label(text) for text in found.unmatched])}." if found.unmatched else None


def combined(texts: Sequence[str]) -> str:
    """One selector with the same meaning as all of these selectors together."""
    if len(texts) == 1:
        return texts[0]
    return ", ".join([text if is_id(text) or len(tokens(text, len(text))) == 2 else f"({text})" for text in texts])
