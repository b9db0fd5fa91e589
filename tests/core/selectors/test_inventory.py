"""Lookup of hosts by name, and selector texts that select exactly their hosts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.core.model import Host
from server.core.selectors.evaluate import select
from server.core.selectors.inventory import HostDirectory
from server.core.selectors.parser import parse

ODD = [
    "web1",
    "web2",
    "web10",
    "WEB1",
    "all",
    "online",
    "not",
    "in",
    "web*",
    "web?",
    "web[1-3]",
    "web[1",
    "a,b",
    "role=db",
    "task:x",
    "",
    " ",
    "a b",
    "web1.",
    "a:b",
    "a/b",
    "bücher",
    "漢",
    '"',
    "'",
    "\\",
    "(",
    ")",
    "!",
    "<",
    "a\nb",
    "\u202eweb",
]


def an_id(number: int) -> str:
    return f"01900000-0000-7000-9000-{number:012d}"


HOSTS = st.builds(
    lambda number, hostname, former, met, replaced, label: Host(
        an_id(number), hostname, former=tuple(former), first_seen_at=1 if met else None, replaced_by=an_id(99) if replaced else None, labels={"k": label}, os=label, ip="10.0.0.1"  # noqa: E501
    ),
    st.integers(0, 8), st.sampled_from([*ODD, *map(an_id, range(9))]), st.lists(st.sampled_from(ODD[:4]), max_size=2, unique=True), st.booleans(), st.booleans(), st.sampled_from("ab"),  # noqa: E501
)  # fmt: skip


def filled(hosts: list[Host]) -> HostDirectory:
    made = HostDirectory()
    for host in hosts:
        made.put(host)
    return made


def meant(directory: HostDirectory, text: str) -> set[str]:
    return set(select([parse(text)], directory, set(), {}).host_ids)


@given(st.lists(HOSTS, min_size=1, max_size=12), st.data())
def test_a_selector_text_selects_exactly_its_hosts(hosts: list[Host], data: st.DataObject) -> None:
    directory = filled(hosts)
    chosen = data.draw(st.sets(st.sampled_from(sorted(directory.hosts)), min_size=1))
    found = select([parse(directory.selector_text(chosen))], directory, set(), {})
    assert set(found.host_ids) == chosen and not found.unknown and not found.ambiguous
    for host_id in directory.hosts:
        assert meant(directory, directory.selector_word(host_id)) == {host_id}


@given(st.lists(st.one_of(HOSTS, st.integers(0, 8)), max_size=30))
def test_the_indexes_after_changes_equal_new_indexes(changes: list[Host | int]) -> None:
    directory, known = HostDirectory(), dict[str, Host]()
    for change in changes:
        if isinstance(change, int):
            assert directory.remove(an_id(change)) == known.pop(an_id(change), None)
        else:
            known[change.host_id] = change
            directory.put(change)
    fresh = filled(list(known.values()))
    assert (directory.hosts, directory.order, directory.replaced, directory.addresses) == (
        fresh.hosts,
        fresh.order,
        fresh.replaced,
        fresh.addresses,
    )
    for name in ODD:
        assert (directory.named(name), directory.formerly_named(name), directory.all_named(name)) == (
            fresh.named(name),
            fresh.formerly_named(name),
            fresh.all_named(name),
        )
    assert directory.labelled("k") == fresh.labelled("k") and directory.fact("os") == fresh.fact("os")


def test_a_replaced_host_is_found_by_its_id_only() -> None:
    old = Host(an_id(1), "web1", ip="10.0.0.1", os="debian", labels={"role": "web"}, former=("was1",), first_seen_at=1)
    directory = filled(
        [old, Host(an_id(2), "web2", ip="10.0.0.2", os="debian", labels={"role": "web"}), Host(an_id(3), "web1")]
    )
    directory.put(replace(old, replaced_by=an_id(3)))
    for text in (
        "all",
        "offline",
        "web*",
        "w?b*",
        "role=web",
        "os=debian",
        "ip=10.0.0.0/8",
        "ip=10.*",
        "not web2",
        "name=web1",
    ):
        assert an_id(1) not in meant(directory, text), text
    assert meant(directory, "web1") == {an_id(3)} and directory.formerly_named("was1") == set()
    assert meant(directory, an_id(1)) == {an_id(1)} and directory.selector_word(an_id(1)) == an_id(1)
    assert directory.all_named("web1") == {an_id(1), an_id(3)}
    directory.put(replace(directory.hosts[an_id(1)], version="2"))
    assert directory.replaced == {an_id(1)}
    directory.put(old)
    assert directory.named("web1") == {an_id(1)}, "it is back, and the other one has never been here"
    assert directory.replaced == set() and directory.formerly_named("was1") == {an_id(1)}


def test_a_host_that_connected_hides_one_that_never_did() -> None:
    directory = filled([Host(an_id(1), "vm"), Host(an_id(2), "vm")])
    assert select([parse("vm")], directory, set(), {}).ambiguous == {"vm": (an_id(1), an_id(2))}
    directory.put(Host(an_id(2), "vm", first_seen_at=5))
    assert meant(directory, "vm") == {an_id(2)} and directory.selector_word(an_id(1)) == an_id(1)
    directory.put(Host(an_id(3), "vm", first_seen_at=6))
    assert select([parse("vm")], directory, set(), {}).ambiguous == {"vm": (an_id(2), an_id(3))}


@pytest.mark.parametrize(
    ("written", "near"),
    [
        ("web0", ["web01"]),
        ("web1", ["web01"]),
        ("wbe01", ["web01"]),
        ("web001", ["web01"]),
        ("wev01", ["web01"]),
        ("WEB01", ["web01"]),
        ("Web01", ["web01"]),
        ("db1.exampl", ["db1.example"]),
        ("web01.example", ["web01"]),
        ("db1", ["db1.example"]),
        ("db", ["db1.example", "db2.example"]),
        ("upper", ["UPPER"]),
        ("nothing", []),
        ("we", ["web01"]),
        ("", ["UPPER", "db1.example", "db2.example"]),
        ("x" * 100, ["x" * 100 + "y"]),
        ("web01", []),
    ],
)
def test_similar_names_are_found(written: str, near: list[str]) -> None:
    directory = filled(
        [
            Host(an_id(number), name)
            for number, name in enumerate(["web01", "db1.example", "db2.example", "UPPER", "x" * 100 + "y"])
        ]
    )
    directory.put(Host(an_id(90), "web02", replaced_by=an_id(1)))
    assert directory.similar_names(written) == near
