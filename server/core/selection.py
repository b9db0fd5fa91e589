"""Which hosts a selector stands for, by the directory of hosts as it is now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field

from server.core.directory import Directory
from server.core.expression import BOUNDS, And, Bounds, Not, Or
from server.core.glob import Glob
from server.core.selector import Keyword, Names, Network, Patterns, Results, Selector, Test


class TooCostly(ValueError):
    """The selector's patterns must be compared with more texts than Bounds.comparisons."""


@dataclass(slots=True)
class Selection:
    """host_ids: by (hostname, id). unknown: names and ids that no host has. ambiguous: name → the ids that share it.
    unmatched: patterns and tests that hold for no host, as they were written. gone: hosts of tasks that are not known any more, or were replaced."""

    host_ids: list[str] = field(default_factory=list)
    unknown: dict[str, None] = field(default_factory=dict)
    ambiguous: dict[str, tuple[str, ...]] = field(default_factory=dict)
    unmatched: dict[str, None] = field(default_factory=dict)
    gone: int = 0


def select(trees: Iterable[Selector], directory: Directory, online: Set[str], results: Mapping[Results, Set[str]], bounds: Bounds = BOUNDS) -> Selection:
    """Hosts for which any of the trees holds. online: ids. results: host ids for each mention of a task. Raises TooCostly."""
    work = _Evaluation(directory, online, results, bounds.comparisons)
    found: set[str] = set()
    for tree in trees:
        found |= work.hosts(tree)
    work.selection.host_ids = directory.sorted(found)
    return work.selection


class _Evaluation:
    def __init__(self, directory: Directory, online: Set[str], results: Mapping[Results, Set[str]], comparisons: int) -> None:
        self.selection = Selection()
        self._directory, self._online, self._results = directory, online, results
        self._left = comparisons

    def hosts(self, tree: Selector) -> Set[str]:
        """What it returns may be shared and is never changed."""
        if isinstance(tree, And):
            parts = sorted((self.hosts(part) for part in tree.parts), key=len)
            return frozenset(parts[0]).intersection(*parts[1:])
        if isinstance(tree, Or):
            return frozenset().union(*(self.hosts(part) for part in tree.parts))
        if isinstance(tree, Not):
            return self._directory.known() - self.hosts(tree.part)
        if isinstance(tree, Keyword):
            return self._keyword(tree.word)
        if isinstance(tree, Names):
            return self._names(tree)
        if isinstance(tree, Results):
            return self._of_task(tree)
        found = self._patterns(tree) if isinstance(tree, Patterns) else self._network(tree) if isinstance(tree, Network) else self._test(tree)
        if not found:
            self.selection.unmatched[tree.text] = None
        return found

    def _keyword(self, word: str) -> Set[str]:
        known = self._directory.known()
        if word == "all":
            return known
        return known & self._online if word == "online" else known - self._online

    def _names(self, tree: Names) -> Set[str]:
        found: set[str] = set()
        for name in tree.names:
            ids = self._directory.named(name)
            if name in self._directory.hosts:
                found.add(name)
            elif len(ids) == 1:
                found |= ids
            elif ids:
                self.selection.ambiguous[name] = tuple(sorted(ids))
            else:
                self.selection.unknown[name] = None
        return found

    def _of_task(self, tree: Results) -> Set[str]:
        hosts = self._results[tree]
        known = hosts & self._directory.known()
        self.selection.gone += len(hosts) - len(known)
        return known

    def _patterns(self, tree: Patterns) -> Set[str]:
        found: set[str] = set()
        for glob in tree.globs:
            candidates = self._directory.beginning(glob.prefix)
            if glob.text == f"{glob.prefix}*":
                found.update([host_id for _, host_id in candidates])
                continue
            self._spend(len(candidates))
            matches = glob.matcher()
            found.update([host_id for hostname, host_id in candidates if matches(hostname)])
        return found - self._directory.replaced

    def _network(self, tree: Network) -> Set[str]:
        addresses = self._directory.addresses.items()
        return {host_id for host_id, (version, value) in addresses if version == tree.version and tree.first <= value <= tree.last}

    def _test(self, tree: Test) -> Set[str]:
        directory = self._directory
        if tree.kind == "label":
            return self._matching(directory.labelled(tree.key), tree.globs)
        if tree.key != "ip":
            return self._matching(directory.fact(tree.key), tree.globs)
        found: set[str] = set()
        for glob in tree.globs:
            self._spend(len(directory.hosts))
            matches = glob.matcher()
            found.update(host_id for host_id, host in directory.hosts.items() if matches(host.ip))
        return found - directory.replaced

    def _matching(self, values: Mapping[str, Set[str]], globs: Iterable[Glob]) -> Set[str]:
        found: list[Set[str]] = []
        for glob in globs:
            if glob.exact:
                found.append(values.get(glob.text, frozenset()))
                continue
            self._spend(len(values))
            matches = glob.matcher()
            found += [ids for value, ids in values.items() if matches(value)]
        return found[0] if len(found) == 1 else frozenset().union(*found)

    def _spend(self, comparisons: int) -> None:
        self._left -= comparisons
        if self._left < 0:
            raise TooCostly
