"""The order of the writer's units: small units may overtake large ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import pytest

from server.core.effects import (
    Ack,
    Act,
    Alarm,
    Cancel,
    CreateJoinToken,
    CreateTask,
    Cut,
    DeleteHost,
    DeleteJoinRequest,
    DeleteJoinToken,
    DeleteOrphans,
    DeleteRecord,
    DeleteTask,
    Dispatch,
    Forget,
    Forgotten,
    Inquire,
    Progress,
    Save,
    SaveExecution,
    SaveHost,
    SaveIdentity,
    SaveJoinRequest,
    SaveKinds,
    SaveLate,
    SaveMeta,
    SaveOrphan,
    SaveOutput,
    SaveRecord,
    SaveSeen,
    SaveSeq,
    SaveTask,
    UseJoinToken,
    Welcome,
)
from server.core.model import Command, Execution, Host, HostIdentity, JoinRequest, JoinToken, Output
from server.core.write_order import AFTER_ALL, after_ids, order_of
from tests.core.shadow import task

COMMAND = Command("c", "t", command="true")
EXECUTION = SaveExecution(Execution("c", "a"))
TASK = SaveTask(task("t", ("a",)))


def made(kind: type, **fields: object) -> object:
    """Create an object of which only these fields matter."""
    one = object.__new__(kind)
    for name, value in fields.items():
        object.__setattr__(one, name, value)
    return one


@pytest.mark.parametrize(
    ("save", "holds", "behind"),
    [
        (EXECUTION, {"c"}, {"c", "a"}),
        (TASK, {"t"}, {"t"}),
        (CreateTask(task("t", ("a", "b")), COMMAND), {"t", "c"}, {"t", "c"}),
        (SaveSeq("a", 256), {"a"}, {"a"}),
        (SaveOutput(Output(b"1", b"", b"", 0, b"")), set(), set()),
        (SaveLate("a", "c", 1, 0, None, {}), {"c"}, {"c", "a"}),
        (SaveHost(Host("a", "web")), {"a"}, None),
        (made(SaveIdentity, identity=made(HostIdentity, host_id="a")), {"a"}, None),
        (DeleteHost("a"), {"a"}, None),
        (SaveKinds("c", b"1"), {"c"}, None),
        (SaveMeta("epoch", "1"), set(), None),
        (made(CreateJoinToken, token=made(JoinToken)), set(), None),
        (DeleteJoinToken("j"), set(), None),
        (UseJoinToken("j", "s", "a", 0), set(), None),
        (made(SaveJoinRequest, request=made(JoinRequest)), set(), None),
        (DeleteJoinRequest("r"), set(), None),
        (DeleteOrphans("a"), {"a"}, None),
        (SaveOrphan("a", "c", 1, 0, 7, 2), {"a", "c"}, None),
        (SaveSeen("a", 5), set(), None),
        (SaveRecord(object()), set(), None),
        (DeleteRecord(object, "web"), set(), None),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, set) else "",
)
def test_the_order_of_each_save(save: Save, holds: set[str], behind: set[str] | None) -> None:
    order = order_of([save])
    assert (order.holds, order.behind, order.barrier) == (holds, behind, False)
    both = order_of([EXECUTION, save])
    assert both.holds == holds | {"c"} and both.behind == (None if behind is None else behind | {"c", "a"})


def test_every_kind_of_save_and_act_is_covered() -> None:
    """A new kind must be added to the tables here, and to write_order.py if other units depend on it."""
    saves = {type(save) for save, *_ in _table(test_the_order_of_each_save)}
    acts = {type(act) for act, *_ in _table(test_the_order_of_each_act)}
    assert saves | {DeleteTask} == set(get_args(Save)) and acts == set(get_args(Act))


def _table(test: Any) -> list[Any]:
    (mark,) = [mark for mark in test.pytestmark if mark.name == "parametrize"]
    return list(mark.args[1])


def test_a_deletion_of_a_task_is_a_barrier() -> None:
    """The deletion does not name the task's rows, and later a late report about one of them has another meaning."""
    assert order_of([EXECUTION, DeleteTask("t"), TASK]).barrier


@pytest.mark.parametrize(
    ("act", "holds", "behind"),
    [
        (Dispatch("b", 1, COMMAND, 1, 1), {"c"}, {"c", "a", "b"}),
        (Cancel("b", 1, "c", 1, 1, "j", "canceled"), {"c"}, {"c", "a", "b"}),
        (Ack("b", 1, "c", 1), {"c"}, {"c", "a", "b"}),
        (Progress(task("t2", ())), {"c", "t2"}, {"c", "a", "t2"}),
        (Welcome("b", 1), {"c", "b"}, None),
        (Forget("b", 1, 5), {"c"}, None),
        (Alarm("mass_silence", ""), {"c"}, None),
        (Cut("b", 1, "flood"), {"c"}, None),
        (Inquire("b", ()), {"c"}, None),
        (Forgotten("t"), {"c"}, None),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, set) else "",
)
def test_the_order_of_each_act(act: Act, holds: set[str], behind: set[str] | None) -> None:
    order = order_of([EXECUTION], [act])
    assert (order.holds, order.behind) == (holds, behind)


def test_a_progress_may_overtake_and_an_empty_unit_waits_for_all() -> None:
    assert order_of([], [Progress(task("t", ()))]).behind == {"t"}
    assert order_of([]) == AFTER_ALL and AFTER_ALL.behind is None and not AFTER_ALL.holds and not AFTER_ALL.barrier


def test_a_unit_without_saves_waits_only_for_its_ids() -> None:
    assert after_ids("t", "c").behind == {"t", "c"} and not after_ids("t").holds


def conflict(first: Sequence[Save | Act], then: Sequence[Save | Act]) -> bool:
    """Return whether the second unit must wait for the first."""
    kinds = Dispatch | Cancel | Ack | Progress | Welcome
    one, other = (
        order_of([x for x in unit if not isinstance(x, kinds)], [x for x in unit if isinstance(x, kinds)])
        for unit in (first, then)
    )
    return other.behind is None or one.barrier or not one.holds.isdisjoint(other.behind)


OTHERS = [
    SaveTask(task("t2", ("a",))),
    SaveExecution(Execution("c2", "a")),
    Dispatch("a", 1, Command("c2", "t2", command="x"), 1, 7),
]


@pytest.mark.parametrize(
    ("first", "waits"),
    [
        ([TASK, EXECUTION, Dispatch("a", 1, COMMAND, 1, 6)], False),
        ([TASK, EXECUTION, Ack("a", 1, "c", 1)], False),
        ([SaveTask(task("t2", ()))], True),
        ([SaveExecution(Execution("c2", "b"))], True),
        ([CreateTask(task("t2", ("a",)), Command("c2", "t2", command="x"))], True),
        ([SaveSeq("a", 512)], True),
        ([SaveSeq("b", 512)], False),
        ([Welcome("a", 1)], True),
        ([Welcome("b", 1)], False),
        ([SaveHost(Host("a", "web"))], True),
        ([DeleteTask("t3")], True),
    ],
    ids=str,
)
def test_a_command_overtakes_another_one_on_the_host_but_not_its_own_saves(
    first: Sequence[Save | Act], waits: bool
) -> None:
    assert conflict(first, OTHERS) is waits
