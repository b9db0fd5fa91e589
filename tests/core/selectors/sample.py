"""A small directory of hosts, and selectors evaluated over it."""

from __future__ import annotations

from server.core.model import Host
from server.core.selectors.evaluate import Selection, select
from server.core.selectors.inventory import HostDirectory
from server.core.selectors.parser import TaskResults, parse

TASK = "01900000-0000-7000-8000-00000000000a"


OTHER = "01900000-0000-7000-8000-00000000000b"


def an_id(number: int) -> str:
    return f"01900000-0000-7000-9000-{number:012d}"


HOSTS = [
    Host(
        an_id(1),
        "web1",
        ip="10.0.0.1",
        os="debian 12",
        arch="x86_64",
        version="1.0",
        labels={"role": "web", "env": "prod"},
        agent_labels={"env": "test", "rack": "7"},
    ),
    Host(an_id(2), "web2", ip="10.0.1.2", os="debian 12", arch="arm64", version="1.1", labels={"role": "web"}),
    Host(
        an_id(3),
        "web10",
        ip="192.168.0.1",
        os="rhel",
        arch="x86_64",
        version="1.1",
        labels={"role": "web", "status": "old"},
    ),
    Host(an_id(4), "db1", ip="fd00::4", os="rhel", arch="x86_64", version="1.1", labels={"role": "db"}),
    Host(an_id(5), "twin", ip="not an address"),
    Host(an_id(6), "twin"),
    Host(an_id(7), "offline", labels={"note": "a, (b)"}),
]


def choose(directory: HostDirectory, text: str, results: dict[TaskResults, frozenset[str]] | None = None) -> Selection:
    return select([parse(text)], directory, {an_id(1), an_id(4)}, results or {})


def names(directory: HostDirectory, text: str) -> str:
    found = choose(directory, text)
    return " ".join(directory.hosts[host_id].hostname for host_id in found.host_ids)


def fleet(number: int) -> HostDirectory:
    made = HostDirectory()
    for index in range(number):
        made.put(
            Host(an_id(index), f"web{index:05d}", ip=f"10.0.{index >> 8}.{index & 255}", labels={"serial": f"s{index}"})
        )
    return made
