"""Result groups: their numbers and their hosts."""

from __future__ import annotations

import pytest

from server.core.results.groups import (
    KIND,
    KindOrder,
    ResultGroup,
    hosts_in_slices,
    hosts_of,
    largest_first,
    outliers_first,
)
from server.core.selectors.parser import parse, results_in
from server.core.states import ExecutionStatus
from tests.core.selectors.sample import TASK, an_id

E = ExecutionStatus


COMPLETED = ResultGroup(E.COMPLETED, 0, None, None, b"a", None, 5, ("h1", "h2", "h3"))


FAILED = ResultGroup(E.FAILED, 1, None, "exit_nonzero", b"a", b"b", 3, ("h4",))


OFFLINE = ResultGroup(E.DISPATCH_FAILED, None, None, "offline", None, None, 3, ("h5", "h6"))


RUNNING = ResultGroup(E.RUNNING, None, None, None, None, None, None, ("h7",))


def test_groups_are_numbered_in_the_order_of_their_appearance() -> None:
    order = KindOrder()
    found = order.numbered([RUNNING, COMPLETED, OFFLINE, FAILED])
    assert [(one.status, one.number) for one in found] == [
        (E.FAILED, 1),
        (E.DISPATCH_FAILED, 2),
        (E.COMPLETED, 3),
        (E.RUNNING, 0),
    ]
    assert [one.number for one in KindOrder().numbered([FAILED, OFFLINE])] == [1, 2]
    assert len(bytes(order)) == 3 * KIND
    assert [one.number for one in largest_first(found)] == [3, 2, 0, 1]
    assert [one.number for one in KindOrder(bytes(order)).numbered([OFFLINE, COMPLETED])] == [2, 3], (
        "a number is not given to another kind"
    )
    earlier = KindOrder()
    earlier.numbered([COMPLETED])
    assert [(one.status, one.number) for one in KindOrder(bytes(earlier)).numbered([FAILED, OFFLINE, COMPLETED])] == [
        (E.COMPLETED, 1),
        (E.FAILED, 2),
        (E.DISPATCH_FAILED, 3),
    ], "what was shown as 1 stays 1"
    assert [one.number for one in outliers_first(found)] == [0, 1, 2, 3]
    assert (FAILED.outputs, OFFLINE.outputs, COMPLETED.count) == ((b"a", b"b"), (), 3)


@pytest.mark.parametrize(
    ("test", "hosts"),
    [
        ("", "h1 h2 h3 h4 h5 h6 h7"),
        ("status=failed", "h4"),
        ("status!=completed", "h4 h5 h6 h7"),
        ("status in (failed,running)", "h4 h7"),
        ("group=2", "h5 h6"),
        ("group!=2", "h1 h2 h3 h4 h7"),
        ("exit_code=0", "h1 h2 h3"),
        ("reason=offline", "h5 h6"),
        ("status!=completed and group in (1,3)", "h4"),
    ],
)
def test_hosts_are_selected_by_their_results(test: str, hosts: str) -> None:
    (results,) = results_in(parse(f"task:{TASK} {test}"))
    assert sorted(hosts_of(KindOrder().numbered([COMPLETED, FAILED, OFFLINE, RUNNING]), results)) == hosts.split()


def test_hosts_of_groups_in_slices_are_the_same() -> None:
    answers = [
        ResultGroup(
            ExecutionStatus.COMPLETED,
            number % 3,
            None,
            None,
            None,
            None,
            1,
            tuple(an_id(number * 40 + host) for host in range(40)),
            number,
        )
        for number in range(1, 900)
    ]
    wanted = next(results_in(parse(f"task:{TASK} exit_code=1")))
    steps, slices = hosts_in_slices(answers, wanted), 0
    while True:
        try:
            next(steps)
        except StopIteration as end:
            assert end.value == hosts_of(answers, wanted)
            break
        slices += 1
    assert slices >= 2
