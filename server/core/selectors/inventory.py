"""The directory of all known hosts, indexed by id, name, label and fact, and updated one host at a time."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping, Set
from ipaddress import ip_address

from server.core.model import Host
from server.core.selectors.fold import fold, quoted

FACTS = ("os", "arch", "version")
"""Facts with few different values. They are indexed like labels."""
FEW = 10
"""Selecting from the ordered names of all hosts is cheaper than sorting more than one in FEW of them."""
_LAST = "\U0010ffff"
_TYPED = "abcdefghijklmnopqrstuvwxyz0123456789-._"
LONGEST_SLIP = 80
"""Longest name for which misspellings are tried. There are eighty times as many of them as characters."""

Address = tuple[int, int]
"""(4 or 6, the address as a number)."""


class HostDirectory:
    """All known hosts. Callers must not change the sets that it returns.

    Attributes:
        hosts: Hosts by id.
        order: (hostname, host id), sorted.
        addresses: (version, address, host id), sorted, of hosts whose `ip` is an address.
        replaced: Ids of hosts that another host has replaced. They are in `hosts` and in `order`, and no name, label,
            fact or address finds them.
        version: Changes whenever a value changes that selectors can test.
    """

    def __init__(self) -> None:
        """Create an empty directory."""
        self.hosts: dict[str, Host] = {}
        self.order: list[tuple[str, str]] = []
        self.addresses: list[tuple[int, int, str]] = []
        self.replaced: set[str] = set()
        self.version = 0
        self._names: dict[str, set[str]] = {}
        self._former: dict[str, set[str]] = {}
        self._labels: dict[str, dict[str, set[str]]] = {}
        self._facts: dict[str, dict[str, set[str]]] = {name: {} for name in FACTS}

    def put(self, host: Host) -> None:
        """Add or update a host."""
        host_id = host.host_id
        old = self.hosts.get(host_id)
        if old is not None and (old.replaced_by is None) != (host.replaced_by is None):
            self.remove(host_id)
            old = None
        self.hosts[host_id] = host
        if old is None or _seen(old) != _seen(host):
            self.version += 1
        if host.replaced_by is not None:
            self._put_aside(old, host)
            return
        if old is None or old.hostname != host.hostname:
            if old is not None:
                self._unorder(old)
                _drop(self._names, old.hostname, host_id)
            insort(self.order, (host.hostname, host_id))
            self._names.setdefault(host.hostname, set()).add(host_id)
        if old is None or old.former != host.former:
            if old is not None:
                self._unformer(old)
            for name in host.former:
                self._former.setdefault(name, set()).add(host_id)
        if old is None or old.ip != host.ip:
            if old is not None:
                self._unaddress(old)
            if (address := _address(host.ip)) is not None:
                insort(self.addresses, (*address, host_id))
        for name in FACTS:
            value = getattr(host, name)
            if old is None or getattr(old, name) != value:
                if old is not None:
                    _drop(self._facts[name], getattr(old, name), host_id)
                self._facts[name].setdefault(value, set()).add(host_id)
        if old is None or old.labels != host.labels or old.agent_labels != host.agent_labels:
            if old is not None:
                self._unlabel(old)
            for key, value in labels_of(host).items():
                self._labels.setdefault(key, {}).setdefault(value, set()).add(host_id)

    def _put_aside(self, old: Host | None, host: Host) -> None:
        if old is not None:
            self._unorder(old)
        insort(self.order, (host.hostname, host.host_id))
        self.replaced.add(host.host_id)

    def remove(self, host_id: str) -> Host | None:
        """Remove and return a host, or return None if it is not known."""
        host = self.hosts.pop(host_id, None)
        if host is None:
            return None
        self.version += 1
        self._unorder(host)
        if host_id in self.replaced:
            self.replaced.discard(host_id)
            return host
        _drop(self._names, host.hostname, host_id)
        self._unformer(host)
        self._unlabel(host)
        self._unaddress(host)
        for name in FACTS:
            _drop(self._facts[name], getattr(host, name), host_id)
        return host

    def known(self) -> Set[str]:
        """Return the ids of all hosts that were not replaced."""
        return self.hosts.keys() - self.replaced if self.replaced else self.hosts.keys()

    def named(self, hostname: str) -> Set[str]:
        """Return the ids of hosts with this name.

        A host whose agent has never connected does not count if another host with the name has connected.
        """
        ids = self._names.get(hostname, frozenset[str]())
        if len(ids) < 2:
            return ids
        return {host_id for host_id in ids if self.hosts[host_id].first_seen_at is not None} or ids

    def all_named(self, hostname: str) -> Set[str]:
        """Return the ids of all hosts with this name, also replaced ones and those that never connected."""
        start = bisect_left(self.order, (hostname,))
        return {
            host_id
            for name, host_id in self.order[start : bisect_left(self.order, (hostname, _LAST), start)]
            if name == hostname
        }

    def formerly_named(self, hostname: str) -> Set[str]:
        """Return the ids of hosts that had this name before they were renamed."""
        return self._former.get(hostname, frozenset())

    def unique_name(self, host_id: str) -> str:
        """Return the name that identifies this known host: its name, or its id if the name is not unique."""
        name = self.hosts[host_id].hostname
        ids = self._names.get(name, ())
        alone = host_id in ids and (len(ids) == 1 or self.named(name) == {host_id})
        return name if alone and name not in self.hosts else host_id

    def selector_word(self, host_id: str) -> str:
        """Return the same as a word of a selector, in quotes if needed."""
        return quoted(self.unique_name(host_id))

    def selector_text(self, host_ids: Iterable[str]) -> str:
        """Return a selector that selects exactly these known hosts."""
        return fold(map(self.unique_name, host_ids)).text

    def similar_names(self, hostname: str, most: int = 3) -> list[str]:
        """Return names of hosts that a misspelled name may mean.

        Tried are one wrong character, another case, and a missing or additional domain. The time depends on the length
        of the name, not on the number of hosts.

        Args:
            hostname: The misspelled name.
            most: Largest number of names.
        """
        found = (
            {slip: None for slip in _slips(hostname) if slip in self._names} if len(hostname) <= LONGEST_SLIP else {}
        )
        start = bisect_left(self.order, (hostname,))
        found |= {
            name: None
            for name, _ in self.order[start : start + most]
            if name.startswith(hostname) and name in self._names
        }
        found.pop(hostname, None)
        return list(found)[:most]

    def labelled(self, key: str) -> Mapping[str, Set[str]]:
        """Return the host ids for each value of a label.

        An operator's label overrides an agent's label with the same name.
        """
        return self._labels.get(key, {})

    def fact(self, name: str) -> Mapping[str, Set[str]]:
        """Return the host ids for each value of one of FACTS."""
        return self._facts[name]

    def beginning(self, prefix: str) -> list[tuple[str, str]]:
        """Return the part of `order` whose hostnames begin with this prefix."""
        if not prefix:
            return self.order
        start = bisect_left(self.order, (prefix,))
        return self.order[start : bisect_left(self.order, (prefix + _LAST,), start)]

    def between(self, version: int, first: int, last: int) -> list[str]:
        """Return the ids of hosts whose address is in this range."""
        start = bisect_left(self.addresses, (version, first))
        end = bisect_left(self.addresses, (version, last + 1), start)
        return [host_id for _, _, host_id in self.addresses[start:end]]

    def sorted(self, host_ids: Set[str]) -> list[str]:
        """Return the ids sorted by (hostname, id), without those that are not known."""
        if len(host_ids) * FEW < len(self.order):
            known = sorted((self.hosts[host_id].hostname, host_id) for host_id in host_ids if host_id in self.hosts)
            return [host_id for _, host_id in known]
        return [host_id for _, host_id in self.order if host_id in host_ids]

    def _unorder(self, host: Host) -> None:
        del self.order[bisect_left(self.order, (host.hostname, host.host_id))]

    def _unformer(self, host: Host) -> None:
        for name in host.former:
            _drop(self._former, name, host.host_id)

    def _unaddress(self, host: Host) -> None:
        if (address := _address(host.ip)) is not None:
            del self.addresses[bisect_left(self.addresses, (*address, host.host_id))]

    def _unlabel(self, host: Host) -> None:
        for key, value in labels_of(host).items():
            _drop(self._labels[key], value, host.host_id)
            if not self._labels[key]:
                del self._labels[key]


def labels_of(host: Host) -> dict[str, str]:
    """Return a host's labels. An operator's label overrides an agent's label with the same name."""
    return {**host.agent_labels, **host.labels}


def _seen(host: Host) -> tuple[object, ...]:
    """Return the values of a host that a selector can test or that decide whether its name is used."""
    return (
        host.hostname,
        host.first_seen_at is None,
        host.ip,
        *(getattr(host, name) for name in FACTS),
        host.labels,
        host.agent_labels,
    )


def _slips(name: str) -> Iterator[str]:
    """Yield misspellings of a name: one character more, less or changed, two swapped, other case, no domain."""
    yield name.lower()
    yield name.upper()
    yield name.partition(".")[0]
    for at in range(len(name) + 1):
        before, after = name[:at], name[at:]
        if after:
            yield before + after[1:]
            yield before + after[0].swapcase() + after[1:]
            yield before + after[1:2] + after[0] + after[2:]
        for char in _TYPED:
            yield before + char + after
            yield before + char + after[1:]


def _address(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return address.version, int(address)


def _drop(sets: dict[str, set[str]], key: str, host_id: str) -> None:
    sets[key].discard(host_id)
    if not sets[key]:
        del sets[key]
