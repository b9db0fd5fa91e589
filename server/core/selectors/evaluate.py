"""Evaluates selectors: finds the hosts of the directory for which they are true."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import TypeVar

from server.core.selectors.expression import BOUNDS, And, Bounds, Not, Or
from server.core.selectors.glob import Glob
from server.core.selectors.inventory import HostDirectory
from server.core.selectors.parser import (
    Atom,
    AttributeTest,
    Keyword,
    Names,
    Network,
    Patterns,
    Selector,
    SetReference,
    TaskResults,
)

NO_SETS: Mapping[str, Selector | Set[str]] = {}
C = TypeVar("C")
T = TypeVar("T")

SLICE = 2_000
"""Approximate microseconds of work after which an evaluation yields."""
IDS = 16
"""Ids in a set operation that cost one microsecond."""
NAMES = 4
"""Names in a lookup that cost one microsecond."""
TEXTS = 2
"""Short texts in a comparison that cost one microsecond. Longer texts cost more."""

LONG = 100
"""For a pattern that needs a longer text, the evaluation first checks whether such a text exists."""

Steps = Generator[None, None, T]
"""Yields after each slice of work and returns the result."""


class TooCostly(ValueError):
    """The selectors need more work than Bounds.comparisons allows."""


@dataclass(slots=True)
class Selection:
    """The result of an evaluation.

    Attributes:
        host_ids: The selected hosts, sorted by (hostname, id).
        unknown: Names and ids that no host has.
        ambiguous: Names that several hosts have, with the ids.
        unmatched: Patterns and tests that match no host, as they were written.
        gone: Hosts of tasks that are no longer known or were replaced.
    """

    host_ids: list[str] = field(default_factory=list)
    unknown: dict[str, None] = field(default_factory=dict)
    ambiguous: dict[str, tuple[str, ...]] = field(default_factory=dict)
    unmatched: dict[str, None] = field(default_factory=dict)
    gone: int = 0


def select(
    trees: Iterable[Selector],
    directory: HostDirectory,
    online: Set[str],
    results: Mapping[TaskResults, Set[str]],
    bounds: Bounds = BOUNDS,
    sets: Mapping[str, Selector | Set[str]] = NO_SETS,
) -> Selection:
    """Return the hosts for which any of the selectors is true.

    Args:
        trees: The selectors.
        directory: All known hosts.
        online: Ids of the online hosts.
        results: Ids of the hosts for each reference to a task.
        bounds: Limits of the evaluation.
        sets: For each host set that is referenced, its selector or the ids of its hosts; without cycles.

    Raises:
        TooCostly: The evaluation needs too much work.
    """
    steps = select_in_slices(trees, directory, online, results, bounds, sets)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: Selection = end.value
            return found


def select_in_slices(
    trees: Iterable[Selector],
    directory: HostDirectory,
    online: Set[str],
    results: Mapping[TaskResults, Set[str]],
    bounds: Bounds = BOUNDS,
    sets: Mapping[str, Selector | Set[str]] = NO_SETS,
) -> Steps[Selection]:
    """Do the same as `select` and yield after each slice of work.

    The directory must not change meanwhile: the caller compares its `version` before and after.
    """
    work = _Evaluation(directory, frozenset(online), results, bounds.comparisons, sets)
    found: set[str] = set()
    for tree in trees:
        hosts = yield from work.hosts(tree)
        yield from work.spend(len(hosts) // IDS + 1)
        found |= hosts
    work.selection.host_ids = directory.sorted(found)
    return work.selection


class _Evaluation:
    def __init__(
        self,
        directory: HostDirectory,
        online: Set[str],
        results: Mapping[TaskResults, Set[str]],
        comparisons: int,
        sets: Mapping[str, Selector | Set[str]],
    ) -> None:
        self.selection = Selection()
        self._sets = sets
        self._evaluated: dict[str, Set[str]] = {}
        self._directory, self._results = directory, results
        known = frozenset(directory.known())
        self._keywords: dict[str, Set[str]] = {"all": known, "online": known & online, "offline": known - online}
        self._tasks: dict[int, Set[str]] = {}
        self._left, self._slice = comparisons, SLICE

    def spend(self, microseconds: int) -> Steps[None]:
        """Count work before it is done, and yield if the slice is used up. The work must not exceed a slice by much.

        Raises:
            TooCostly: The evaluation needs too much work.
        """
        self._left -= microseconds
        if self._left < 0:
            raise TooCostly
        self._slice -= microseconds
        if self._slice < 0:
            self._slice = SLICE
            yield

    def hosts(self, tree: Selector) -> Steps[Set[str]]:
        """Return the hosts of one selector. The set may be shared and must not be changed."""
        if isinstance(tree, And):
            return (yield from self._all(tree))
        if isinstance(tree, Or):
            return (yield from self._any(tree))
        if isinstance(tree, Not):
            part = yield from self.hosts(tree.part)
            known = self._keywords["all"]
            yield from self.spend(len(known) // IDS + 1)
            return known - part
        if isinstance(tree, Keyword):
            return self._keywords[tree.word]
        if isinstance(tree, Names):
            return (yield from self._names(tree))
        if isinstance(tree, TaskResults):
            return (yield from self._of_task(tree))
        if isinstance(tree, SetReference):
            return (yield from self._of_set(tree.name))
        found: Set[str] = set()
        if isinstance(tree, Patterns):
            found = yield from self._patterns(tree)
        elif isinstance(tree, Network):
            found = set(self._directory.between(tree.version, tree.first, tree.last))
            yield from self.spend(len(found) // NAMES + 1)
        else:
            found = yield from self._test(tree)
        if not found:
            self.selection.unmatched[tree.text] = None
        return found

    def _all(self, tree: And[Atom]) -> Steps[Set[str]]:
        """Intersect the parts one after the other, so that at most two sets exist at the same time."""
        first, *others = tree.parts
        found = yield from self.hosts(first)
        for part in others:
            negated = isinstance(part, Not)
            hosts = yield from self.hosts(part.part if isinstance(part, Not) else part)
            if negated or hosts is not found:
                yield from self.spend(len(found) // IDS + 1)
                found = found - hosts if negated else found & hosts
        return found

    def _any(self, tree: Or[Atom]) -> Steps[Set[str]]:
        found: set[str] = set()
        last: Set[str] = frozenset()
        for part in tree.parts:
            hosts = yield from self.hosts(part)
            if hosts is not last:
                yield from self.spend(len(hosts) // IDS + 1)
                found |= hosts
            last = hosts
        return found

    def _names(self, tree: Names) -> Steps[Set[str]]:
        found: set[str] = set()
        directory, selection = self._directory, self.selection
        for start in range(0, len(tree.names), SLICE):
            names = tree.names[start : start + SLICE]
            yield from self.spend(len(names) // NAMES + 1)
            for name in names:
                ids = directory.named(name)
                if name in directory.hosts:
                    found.add(name)
                elif len(ids) == 1:
                    found |= ids
                elif ids:
                    selection.ambiguous[name] = tuple(sorted(ids))
                else:
                    selection.unknown[name] = None
        return found

    def _of_set(self, name: str) -> Steps[Set[str]]:
        """Return the hosts of a host set. Each set is evaluated once."""
        found = self._evaluated.get(name)
        if found is None:
            meant = self._sets[name]
            if isinstance(meant, Set):
                yield from self.spend(len(meant) // IDS + 1)
                found = meant & self._keywords["all"]
                self.selection.gone += len(meant) - len(found)
            else:
                found = yield from self.hosts(meant)
            self._evaluated[name] = found
            if not found:
                self.selection.unmatched[f"@{name}"] = None
        return found

    def _of_task(self, tree: TaskResults) -> Steps[Set[str]]:
        hosts = self._results[tree]
        known = self._tasks.get(id(hosts))
        if known is None:
            yield from self.spend(len(hosts) // IDS + 1)
            known = self._tasks[id(hosts)] = hosts & self._keywords["all"]
        self.selection.gone += len(hosts) - len(known)
        return known

    def _patterns(self, tree: Patterns) -> Steps[Set[str]]:
        found: set[str] = set()
        for glob in tree.globs:
            candidates = self._directory.beginning(glob.prefix)
            if glob.text == f"{glob.prefix}*":
                yield from self.spend(len(candidates) // NAMES + 1)
                found.update([host_id for _, host_id in candidates])
                continue
            matches = yield from self._matcher(glob, candidates)
            if matches is not None:
                for batch in self._batches(glob, candidates):
                    yield from self._compare(glob, [len(hostname) for hostname, _ in batch])
                    found.update([host_id for hostname, host_id in batch if matches(hostname)])
        return found - self._directory.replaced

    def _test(self, tree: AttributeTest) -> Steps[Set[str]]:
        directory = self._directory
        if tree.kind == "label":
            return (
                yield from self._matching(
                    list(directory.labelled(tree.key).items()), directory.labelled(tree.key), tree.globs
                )
            )
        if tree.key != "ip":
            return (
                yield from self._matching(list(directory.fact(tree.key).items()), directory.fact(tree.key), tree.globs)
            )
        hosts: list[tuple[str, Set[str]]] = [
            (host.ip, frozenset((host_id,)))
            for host_id, host in directory.hosts.items()
            if host_id not in directory.replaced
        ]
        yield from self.spend(len(hosts) // NAMES + 1)
        return (yield from self._matching(hosts, {}, tree.globs))

    def _matching(
        self, values: list[tuple[str, Set[str]]], exactly: Mapping[str, Set[str]], globs: Iterable[Glob]
    ) -> Steps[Set[str]]:
        found: set[str] = set()
        for glob in globs:
            if glob.exact:
                hits = [exactly.get(glob.text, frozenset())]
                yield from self.spend(len(hits[0]) // IDS + 1)
                found |= hits[0]
                continue
            matches = yield from self._matcher(glob, values)
            if matches is None:
                continue
            for batch in self._batches(glob, values):
                yield from self._compare(glob, [len(value) for value, _ in batch])
                hits = [ids for value, ids in batch if matches(value)]
                yield from self.spend(sum(map(len, hits)) // IDS)
                found.update(*hits)
        return found

    def _matcher(self, glob: Glob, candidates: Sequence[tuple[str, object]]) -> Steps[Callable[[str], bool] | None]:
        """Return a function that matches the pattern, or None if no text is long enough."""
        if glob.least > LONG:
            yield from self.spend(len(candidates) // IDS + 1)
            if max((len(text) for text, _ in candidates), default=0) < glob.least:
                return None
        yield from self.spend(glob.compiling)
        return glob.matcher()

    @staticmethod
    def _batches(glob: Glob, candidates: Sequence[C]) -> Iterator[Sequence[C]]:
        """Split the candidates into batches; small ones if a comparison may take long."""
        size = max(4, SLICE // (2 + glob.longest))
        for start in range(0, len(candidates), size):
            yield candidates[start : start + size]

    def _compare(self, glob: Glob, sizes: list[int]) -> Steps[None]:
        yield from self.spend(len(sizes) // TEXTS + 1 + glob.comparing(sum(sizes)))
