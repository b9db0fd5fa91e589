"""Answers: a task's rows by what they say, the same on every database."""

from __future__ import annotations

import pytest

from proto.notes import MARKED
from server.core.effects import DeleteTask, SaveExecution, SaveKinds, SaveOutput
from server.core.model import Execution
from server.core.results.groups import KindOrder, ResultGroup
from server.core.states import ExecutionStatus as E
from server.store.base import Beginning, OutputSummary
from tests.changed import replace
from tests.store.any_store import AnyStore
from tests.store.make import create, hosts, output

ONE, TWO = bytes([1] * 32), bytes([2] * 32)


class AnswerConformance:
    @pytest.mark.capability("C9")
    async def test_rows_that_say_the_same_are_one_answer(self, store: AnyStore) -> None:
        made, other = create(hosts(9)), create(hosts(2))
        command_id, targets = made.command.command_id, made.task.targets
        done = Execution(command_id, "", status=E.COMPLETED, version=3, exit_code=0, stdout_id=ONE, finished_at=50)
        rows = [
            replace(done, host_id=targets[0], finished_at=70),
            replace(done, host_id=targets[1]),
            replace(done, host_id=targets[2], stdout_id=TWO),
            replace(done, host_id=targets[3], stderr_id=ONE),
            replace(
                done,
                host_id=targets[4],
                status=E.FAILED,
                exit_code=None,
                signal=9,
                error_code="signaled",
                stdout_id=None,
                finished_at=40,
            ),
            replace(
                done,
                host_id=targets[5],
                status=E.FAILED,
                exit_code=None,
                signal=9,
                error_code="output_limit",
                stdout_id=None,
            ),
            Execution(command_id, targets[6], status=E.RUNNING, version=2, unreachable=True),
            Execution(command_id, targets[7], status=E.RUNNING, version=2),
        ]
        await store.write([made, other, *map(SaveExecution, rows)])
        found = {tuple(sorted(one.host_ids)): one for one in await store.answers(command_id)}
        wanted = [
            ResultGroup(E.COMPLETED, 0, None, None, ONE, None, 50, targets[0:2]),
            ResultGroup(E.COMPLETED, 0, None, None, TWO, None, 50, targets[2:3]),
            ResultGroup(E.COMPLETED, 0, None, None, ONE, ONE, 50, targets[3:4]),
            ResultGroup(E.FAILED, None, 9, "signaled", None, None, 40, targets[4:5]),
            ResultGroup(E.FAILED, None, 9, "output_limit", None, None, 50, targets[5:6]),
            ResultGroup(E.RUNNING, None, None, None, None, None, None, targets[6:8]),
            ResultGroup(E.PENDING, None, None, None, None, None, None, targets[8:9]),
        ]
        assert set(found) == {one.host_ids for one in wanted}
        assert [replace(found[one.host_ids], host_ids=one.host_ids) for one in wanted] == wanted
        assert [one.number for one in KindOrder().numbered(found.values())] == [1, 2, 3, 4, 5, 0, 0]
        assert await store.answers(other.command.command_id[::-1]) == []

    async def test_notes_are_counted_by_kind_of_answer(self, store: AnyStore) -> None:
        made, other = create(hosts(9)), create(hosts(1))
        command_id, targets = made.command.command_id, made.task.targets
        done = Execution(command_id, "", status=E.COMPLETED, version=3, exit_code=0, stdout_id=ONE, finished_at=50)
        plain = {"user_us": 1, "kill": {"reason": 'a "pipe_held" text', "tree_empty": True}}
        rows = [
            replace(done, host_id=targets[0], report=plain | {"leftovers_killed": 2}),
            replace(done, host_id=targets[1], report=plain | {"leftovers_killed": 9, "pipe_held": True}),
            replace(done, host_id=targets[2], report=plain),
            replace(done, host_id=targets[3], report=None),
            replace(done, host_id=targets[4], stdout_id=TWO, report=plain | {"left_running": 1}),
            replace(
                done,
                host_id=targets[5],
                status=E.FAILED,
                exit_code=None,
                signal=9,
                error_code="signaled",
                report=plain | {"kill": {"tree_empty": False}},
            ),
            replace(
                done,
                host_id=targets[6],
                status=E.RUNNING,
                exit_code=None,
                finished_at=None,
                report={"leftovers_killed": 1},
            ),
        ]
        elsewhere = replace(
            done, command_id=other.command.command_id, host_id=other.task.targets[0], report={"leftovers_killed": 1}
        )
        await store.write([made, other, *map(SaveExecution, [*rows, elsewhere])])
        found = {
            kind: dict(zip(MARKED, counts, strict=True)) for kind, counts in (await store.notes(command_id)).items()
        }
        assert {kind: {code: n for code, n in counts.items() if n} for kind, counts in found.items()} == {
            (E.COMPLETED, 0, None, None, ONE, None): {"leftovers_killed": 2, "pipe_held": 1},
            (E.COMPLETED, 0, None, None, TWO, None): {"left_running": 1},
            (E.FAILED, None, 9, "signaled", ONE, None): {"may_still_run": 1},
        }
        assert await store.notes(command_id[::-1]) == {}

    async def test_the_order_of_a_tasks_kinds_of_answers_is_kept_only_grows_and_goes_with_the_task(
        self, store: AnyStore
    ) -> None:
        made = create(hosts(1))
        command_id = made.command.command_id
        assert await store.answer_kinds(command_id) == b""
        await store.write([made, SaveKinds(command_id, b"\0'\\%s:a5")])
        assert await store.answer_kinds(command_id) == b"\0'\\%s:a5"
        await store.write([SaveKinds(command_id, bytes(range(256))), SaveKinds(command_id, b"shorter")])
        await store.write([SaveKinds(command_id, b"short")])
        assert await store.answer_kinds(command_id) == bytes(range(256))
        await store.write([SaveKinds(command_id, bytes(80_000)), SaveKinds(command_id[::-1], b"of nothing")])
        assert await store.answer_kinds(command_id) == bytes(80_000)
        await store.write([DeleteTask(made.task.task_id)])
        await store.write([made])
        assert await store.answer_kinds(command_id) == b""

    async def test_the_state_of_every_row_is_read_without_the_rest(self, store: AnyStore) -> None:
        made, other = create(hosts(3)), create(hosts(2))
        command_id, targets = made.command.command_id, made.task.targets
        await store.write(
            [
                made,
                other,
                SaveExecution(Execution(command_id, targets[1], status=E.RUNNING, version=2, unreachable=True)),
            ]
        )
        assert sorted(await store.states(command_id)) == [f"0 0 {targets[0]}", f"0 0 {targets[2]}", f"2 1 {targets[1]}"]
        assert await store.states(command_id[::-1]) == []

    async def test_a_hosts_history_names_its_tasks_and_comes_in_pages(self, store: AnyStore) -> None:
        (host_id,) = hosts(1)
        made = [create((host_id,), name=f"task {index}") for index in range(20)]
        await store.write(made)
        newest = sorted(made, key=lambda one: one.command.command_id, reverse=True)
        past = await store.history(host_id, after=None, limit=18)
        assert [(one.task_id, one.name, one.execution.command_id) for one in past] == [
            (one.task.task_id, one.task.name, one.command.command_id) for one in newest[:18]
        ]
        rest = await store.history(host_id, after=past[-1].execution.command_id, limit=18)
        assert [one.task_id for one in rest] == [one.task.task_id for one in newest[18:]]

    async def test_ten_thousand_hosts_come_in_as_many_rows_as_there_are_answers(self, store: AnyStore) -> None:
        made = create(hosts(10_000))
        await store.write([made])
        (answer,) = await store.answers(made.command.command_id)
        assert sorted(answer.host_ids) == sorted(made.task.targets)

    async def test_the_beginning_of_an_output_is_read_without_the_rest(self, store: AnyStore) -> None:
        whole, cut = output(b"\xff\x00abcdef"), output(b"h" * 5000, b"tail", dropped=10)
        await store.write([SaveOutput(whole), SaveOutput(cut)])
        found = await store.output_beginnings([whole.output_id, cut.output_id, bytes(32)], 4)
        assert found == {
            whole.output_id: Beginning(b"\xff\x00ab", OutputSummary(8, 0, 8)),
            cut.output_id: Beginning(b"hhhh", OutputSummary(5000, 4, 5014)),
        }
        assert await store.output_beginnings([], 4) == {}
