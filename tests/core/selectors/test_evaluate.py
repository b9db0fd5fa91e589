"""Evaluation of selectors: set operations, costs and slices."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.core.model import Host
from server.core.selectors.evaluate import Selection, TooCostly, select, select_in_slices
from server.core.selectors.expression import Bounds, Not, Or, Tree
from server.core.selectors.inventory import HostDirectory
from server.core.selectors.parser import Selector, TaskResults, parse, results_in
from server.core.states import ExecutionStatus
from tests.core.selectors.sample import HOSTS, OTHER, TASK, an_id, choose, fleet


def test_a_task_reference_selects_hosts(directory: HostDirectory) -> None:
    text = f"task:{TASK} and status=failed and role=web or task:{OTHER} group=2 exit_code in (1,2) reason!=timed_out"
    tree = parse(text)
    first, second = results_in(tree)
    assert [
        (one.task_id, [(part.field, part.negate, part.values) for part in one.refinements]) for one in (first, second)
    ] == [
        (TASK, [("status", False, {int(ExecutionStatus.FAILED)})]),
        (OTHER, [("group", False, {2}), ("exit_code", False, {1, 2}), ("reason", True, {"timed_out"})]),
    ]
    found = choose(directory, text, {first: frozenset([an_id(1), an_id(4)]), second: frozenset([an_id(4), an_id(77)])})
    assert (found.host_ids, found.gone) == ([an_id(4), an_id(1)], 1)
    assert [one.task_id for one in results_in(parse(f"not task:{TASK.upper()}, web1"))] == [TASK]
    (negated,) = results_in(parse(f"task:{TASK} and status not in (completed, cancelled)"))
    assert negated.refinements[0].negate and negated.refinements[0].values == {
        int(ExecutionStatus.COMPLETED),
        int(ExecutionStatus.CANCELED),
    }


def test_unknown_and_ambiguous_names_are_reported(directory: HostDirectory) -> None:
    found = choose(
        directory,
        f"web[1-4],twin and not nobody or {an_id(99)} or zz* or role=none or ip=1.0.0.0/8 or ip=9* or role=mq",
    )
    assert list(found.unknown) == ["web3", "web4", "nobody", an_id(99)]
    assert found.ambiguous == {"twin": (an_id(5), an_id(6))}
    assert list(found.unmatched) == ["zz*", "role=none", "ip=1.0.0.0/8", "ip=9*", "role=mq"]


@given(
    st.recursive(
        st.sampled_from(["web1", "role=web", "online", "all", "db1,web2"]),
        lambda inner: st.one_of(
            inner.map(lambda a: f"not ({a})"),
            st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda t: f"({t[0]}) {t[1]} ({t[2]})"),
        ),
        max_leaves=8,
    )
)
def test_the_operators_are_set_operations(text: str) -> None:
    directory = HostDirectory()
    for host in HOSTS:
        directory.put(host)
    everybody = frozenset(directory.hosts)

    def value(tree: Tree[object]) -> frozenset[str]:
        if isinstance(tree, Not):
            return everybody - value(tree.part)
        parts = getattr(tree, "parts", None)
        if parts is None:
            return frozenset(select([tree], directory, {an_id(1), an_id(4)}, {}).host_ids)  # type: ignore[list-item]
        sets = [value(part) for part in parts]
        return frozenset.union(*sets) if isinstance(tree, Or) else frozenset.intersection(*sets)

    assert frozenset(choose(directory, text).host_ids) == value(parse(text))


def test_several_selectors_select_the_union(directory: HostDirectory) -> None:
    found = select([parse("web1"), parse("web*")], directory, set(), {}).host_ids
    assert [directory.hosts[host_id].hostname for host_id in found] == ["web1", "web10", "web2"]


@pytest.mark.parametrize(
    "text",
    [
        "*1,*2,*3",
        "*a?*",
        "all and not web1 and not web2",
        "all and online",
        "all or online",
        "web[1-90]",
        "web*",
        "ip=10.0.0.0/8",
        "ip=1*",
        f"task:{TASK}",
        "role=web",
        "role=*?b",
        "*" + "?" * 101,
        "all",
    ],
)
def test_all_work_of_an_evaluation_is_counted(directory: HostDirectory, text: str) -> None:
    results = {TaskResults(TASK, (), 1): frozenset({an_id(1)})}
    chosen = [parse(text)]
    needed = next(most for most in range(1_000) if _is_enough(chosen, directory, results, most))
    assert needed > 0
    assert (
        select(chosen * 2, directory, set(), results, Bounds(comparisons=10_000)).host_ids
        == select(chosen, directory, set(), results).host_ids
    )


def _is_enough(
    trees: list[Selector], directory: HostDirectory, results: dict[TaskResults, frozenset[str]], most: int
) -> bool:
    try:
        select(trees, directory, set(), results, Bounds(comparisons=most))
    except TooCostly:
        return False
    return True


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("*b?00?*", 100),
        ("serial=*?9", 300),
        ("serial in (s1,s2,nothing)", 2),
        ("ip=10.0.?.*", 2_560),
        ("web[00000-02999]", 3_000),
        ("ip=10.0.1.0/24", 256),
        (" and ".join(["not web00001"] * 40), 2_999),
        ("*" + "?" * 200 + ",serial=" + "?" * 200, 0),
    ],
)
def test_slices_are_small_and_select_the_same_hosts(text: str, count: int) -> None:
    directory, trees = fleet(3_000), [parse(text)]
    steps, slices = select_in_slices(trees, directory, set(), {}), 1
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: Selection = end.value
            break
        slices += 1
    assert found.host_ids == select(trees, directory, set(), {}).host_ids
    assert len(found.host_ids) == count
    assert slices <= 12


def test_a_pattern_is_refused_for_its_cost_and_not_its_length() -> None:
    directory = fleet(1_000)
    assert not select([parse("*" + "?" * 60_000 + "*")], directory, set(), {}).host_ids
    hard = parse(" or ".join(f"*?{index}?*?e?*?b?*" for index in range(1_000)))
    with pytest.raises(TooCostly):
        select([hard], directory, set(), {})


def test_a_pattern_for_long_names_finds_long_names() -> None:
    directory = fleet(3)
    directory.put(Host(an_id(9), "n" * 150))
    assert select([parse("*?" + "n" * 120 + "*")], directory, set(), {}).host_ids == [an_id(9)]
