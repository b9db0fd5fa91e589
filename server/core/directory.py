"""All known hosts, found by id, name, label and fact without looking at each of them. Kept up to date one host at a time."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Set
from ipaddress import ip_address

from server.core.model import Host

FACTS = ("os", "arch", "version")
"""Facts with few different values, kept like labels."""
FEW = 10
"""Looking through the names of all hosts in order costs less than sorting a tenth of them."""
_LAST = "\U0010ffff"

Address = tuple[int, int]
"""(4 or 6, value)."""


class Directory:
    """order: (hostname, host_id), sorted. addresses: (version, value, host_id), sorted, of hosts whose `ip` is one. version: changes with what
    selectors look at. Sets that it gives out must not be changed."""

    def __init__(self) -> None:
        self.hosts: dict[str, Host] = {}
        self.order: list[tuple[str, str]] = []
        self.addresses: list[tuple[int, int, str]] = []
        self.version = 0
        self._names: dict[str, set[str]] = {}
        self._labels: dict[str, dict[str, set[str]]] = {}
        self._facts: dict[str, dict[str, set[str]]] = {name: {} for name in FACTS}

    def put(self, host: Host) -> None:
        """Make it, or its new facts, known."""
        host_id = host.host_id
        old = self.hosts.get(host_id)
        self.hosts[host_id] = host
        if old is None or _seen(old) != _seen(host):
            self.version += 1
        if old is None or old.hostname != host.hostname:
            if old is not None:
                self._unname(old)
            insort(self.order, (host.hostname, host_id))
            self._names.setdefault(host.hostname, set()).add(host_id)
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

    def remove(self, host_id: str) -> Host | None:
        """The host that is no longer known, or None."""
        host = self.hosts.pop(host_id, None)
        if host is None:
            return None
        self._unname(host)
        self.version += 1
        self._unlabel(host)
        self._unaddress(host)
        for name in FACTS:
            _drop(self._facts[name], getattr(host, name), host_id)
        return host

    def named(self, hostname: str) -> Set[str]:
        """The ids of hosts of this name."""
        return self._names.get(hostname, frozenset())

    def labelled(self, key: str) -> Mapping[str, Set[str]]:
        """value → ids. An operator's label goes before an agent's of the same name."""
        return self._labels.get(key, {})

    def fact(self, name: str) -> Mapping[str, Set[str]]:
        """value → ids, for one of FACTS."""
        return self._facts[name]

    def beginning(self, prefix: str) -> list[tuple[str, str]]:
        """Of `order`, those whose hostname begins so."""
        if not prefix:
            return self.order
        start = bisect_left(self.order, (prefix,))
        return self.order[start : bisect_left(self.order, (prefix + _LAST,), start)]

    def between(self, version: int, first: int, last: int) -> list[str]:
        """The ids of hosts whose address lies there."""
        start = bisect_left(self.addresses, (version, first))
        end = bisect_left(self.addresses, (version, last + 1), start)
        return [host_id for _, _, host_id in self.addresses[start:end]]

    def sorted(self, host_ids: Set[str]) -> list[str]:
        """By (hostname, host_id); ids that are not known are left out."""
        if len(host_ids) * FEW < len(self.order):
            known = sorted((self.hosts[host_id].hostname, host_id) for host_id in host_ids if host_id in self.hosts)
            return [host_id for _, host_id in known]
        return [host_id for _, host_id in self.order if host_id in host_ids]

    def hostnames(self, host_ids: Iterable[str]) -> list[str]:
        """Those of hosts that are known, in the same order."""
        return [host.hostname for host_id in host_ids if (host := self.hosts.get(host_id)) is not None]

    def _unname(self, host: Host) -> None:
        del self.order[bisect_left(self.order, (host.hostname, host.host_id))]
        _drop(self._names, host.hostname, host.host_id)

    def _unaddress(self, host: Host) -> None:
        if (address := _address(host.ip)) is not None:
            del self.addresses[bisect_left(self.addresses, (*address, host.host_id))]

    def _unlabel(self, host: Host) -> None:
        for key, value in labels_of(host).items():
            _drop(self._labels[key], value, host.host_id)
            if not self._labels[key]:
                del self._labels[key]


def labels_of(host: Host) -> dict[str, str]:
    """An operator's label goes before an agent's of the same name."""
    return {**host.agent_labels, **host.labels}


def _seen(host: Host) -> tuple[object, ...]:
    """What a selector can test a host for."""
    return host.hostname, host.ip, *(getattr(host, name) for name in FACTS), host.labels, host.agent_labels


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
