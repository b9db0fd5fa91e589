"""All host sets in memory, and which sets a selector means."""

from __future__ import annotations

from collections.abc import Iterable, Set

from server.core.nouns.host_set import HostSet
from server.core.records import Collection
from server.core.selectors.expression import BOUNDS, Bounds, ExpressionError
from server.core.selectors.parser import Selector, parse_all, sets_in

Meaning = Selector | Set[str]
"""The selector of a set, or the ids of its hosts."""
SET_DEPTH = 8
"""Sets within one another, at most."""


class UnknownSet(ExpressionError):
    """A selector names a host set that does not exist."""

    def __init__(self, column: int, name: str, near: list[str]) -> None:
        """Describe the unknown set.

        Args:
            column: Column of the reference.
            name: The name without the @.
            near: Names of sets that look like it.
        """
        super().__init__(column, "the name of a host set that exists", f"@{name}")
        self.name = name
        self.near = near


class SetCycle(ValueError):
    """A host set would contain itself, or sets would be nested too deeply."""


class HostSets(Collection[HostSet]):
    """The host sets by name, with the sets that each selector names."""

    def __init__(self) -> None:
        """Create an empty collection."""
        super().__init__()
        self._inside: dict[str, tuple[str, ...]] = {}

    def put(self, record: HostSet) -> None:
        """Add or replace a set."""
        super().put(record)
        self._inside[record.name] = _named_in(record)

    def remove(self, key: str) -> None:
        """Remove a set."""
        super().remove(key)
        self._inside.pop(key, None)

    def users(self, name: str) -> list[str]:
        """Return the names of the sets whose selector names this one."""
        return sorted(user for user, inside in self._inside.items() if name in inside)

    def reached(self, trees: Iterable[Selector]) -> dict[str, HostSet]:
        """Return every set that the selectors reach.

        Raises:
            UnknownSet: A set does not exist.
        """
        found: dict[str, HostSet] = {}
        waiting = [(one.name, one.column) for tree in trees for one in sets_in(tree)]
        while waiting:
            name, column = waiting.pop()
            if name in found:
                continue
            known = self.get(name)
            if known is None:
                raise UnknownSet(column, name, self.near(name))
            found[name] = known
            waiting += [(one, column) for one in self._inside[name]]
        return found

    def check(self, host_set: HostSet) -> None:
        """Check that adding or changing a set makes no cycle and nests at most SET_DEPTH sets.

        Raises:
            SetCycle: It does; the message names the sets.
        """
        inside = self._inside | {host_set.name: _named_in(host_set)}
        depths: dict[str, int] = {}

        def measure(name: str, path: tuple[str, ...]) -> int:
            if name in path:
                raise SetCycle(f"@{' contains @'.join((*path[path.index(name) :], name))}")
            if name not in depths:
                if len(path) >= SET_DEPTH:
                    raise SetCycle(f"@{path[0]} would nest more than {SET_DEPTH} sets")
                depths[name] = 1 + max((measure(part, (*path, name)) for part in inside.get(name, ())), default=0)
            if len(path) + depths[name] > SET_DEPTH:
                raise SetCycle(f"@{(*path, name)[0]} would nest more than {SET_DEPTH} sets")
            return depths[name]

        for name in (host_set.name, *inside):
            measure(name, ())


def meanings(sets: Iterable[HostSet], bounds: Bounds = BOUNDS) -> dict[str, Meaning]:
    """Return the meaning of each set. All selectors together may unfold to `bounds.names` names.

    Raises:
        ExpressionError: They unfold to more.
    """
    found: dict[str, Meaning] = {}
    selectors: dict[str, str] = {}
    for one in sets:
        if one.selector:
            selectors[one.name] = one.selector
        else:
            found[one.name] = frozenset(one.hosts)
    for name, tree in zip(selectors, parse_all(selectors.values(), bounds), strict=True):
        if isinstance(tree, ExpressionError):
            raise tree
        found[name] = tree
    return found


def _named_in(host_set: HostSet) -> tuple[str, ...]:
    if not host_set.selector:
        return ()
    (tree,) = parse_all([host_set.selector])
    return () if isinstance(tree, ExpressionError) else tuple(dict.fromkeys(one.name for one in sets_in(tree)))
