"""The host directory after changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.core.model import Host
from server.core.selectors.inventory import HostDirectory
from tests.core.selectors.sample import an_id


@pytest.mark.capability("D6")
@given(
    st.lists(
        st.tuples(
            st.integers(0, 5),
            st.sampled_from(["a", "b"]),
            st.dictionaries(st.sampled_from("xy"), st.sampled_from("12")),
            st.sampled_from(["", "10.0.0.1", "::1"]),
            st.booleans(),
        ),
        max_size=30,
    )
)
def test_a_changed_directory_equals_a_new_one(changes: list[tuple[int, str, dict[str, str], str, bool]]) -> None:
    directory = HostDirectory()
    known: dict[str, Host] = {}
    for number, hostname, labels, ip, gone in changes:
        if gone:
            assert directory.remove(an_id(number)) == known.pop(an_id(number), None)
            continue
        known[an_id(number)] = Host(an_id(number), hostname, ip=ip, os=hostname, labels=labels, agent_labels={"x": "0"})
        directory.put(known[an_id(number)])
    fresh = HostDirectory()
    for host in known.values():
        fresh.put(host)
    assert (directory.hosts, directory.order, directory.addresses) == (fresh.hosts, fresh.order, fresh.addresses)
    for name in ("a", "b"):
        assert directory.named(name) == fresh.named(name)
    for key in ("x", "y"):
        assert directory.labelled(key) == fresh.labelled(key)
    assert directory.fact("os") == fresh.fact("os")


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=30), st.sets(st.integers(0, 35)))
def test_few_and_many_hosts_have_the_same_order(hostnames: list[str], wanted: set[int]) -> None:
    directory = HostDirectory()
    for number, hostname in enumerate(hostnames):
        directory.put(Host(an_id(number), hostname))
    asked = {an_id(number) for number in wanted}
    assert directory.sorted(asked) == [host_id for _, host_id in directory.order if host_id in asked]
