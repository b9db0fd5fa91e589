"""What every store must do with reports for rows that are not open: bounded per host, nothing for what was never
dispatched."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from server.core.effects import DeleteTask, SaveExecution, SaveLate, SaveOrphan
from server.core.model import Execution
from server.core.states import ExecutionStatus as E
from server.store.base import Orphan
from server.store.late_reports import ORPHAN_BYTES, ORPHANS
from tests.store.any_store import AnyStore
from tests.store.make import create, hosts, new_id, output


def late(
    host_id: str, command_id: str, attempt: int = 1, text: bytes = b"", *, claimed: bool = True, at: int = 40
) -> SaveLate:
    outputs = (output(text),) if text else ()
    report = {"attempt": attempt, "at": at, "stdout_id": outputs[0].output_id.hex() if outputs else None}
    return SaveLate(host_id, command_id, attempt, 50, at, report, outputs, claimed)


async def sizes(store: AnyStore) -> tuple[int, int]:
    """Outputs kept, and orphans."""
    ((outputs,),) = await store.fetch("SELECT COUNT(*) FROM output", {})
    ((orphans,),) = await store.fetch("SELECT COUNT(*) FROM orphan_result", {})
    return int(outputs), int(orphans)


async def all_orphans(store: AnyStore, host_id: str | None = None) -> Sequence[Orphan]:
    return await store.orphans(host_id=host_id, after=None, limit=1_000)


class OrphanConformance:
    """The tests; `store` is a fixture of the subclass's module."""

    async def test_a_report_that_no_hello_claimed_leaves_nothing(self, store: AnyStore) -> None:
        await store.write([late(new_id(), new_id(), text=b"x" * 1_000, claimed=False) for _ in range(20)])
        assert await sizes(store) == (0, 0)

    @pytest.mark.capability("I15")
    async def test_what_one_host_leaves_is_bounded_in_number(self, store: AnyStore) -> None:
        host, other = new_id(), new_id()
        for _ in range(3):
            await store.write([late(host, new_id(), text=new_id().encode()) for _ in range(ORPHANS - 30)])
        assert await sizes(store) == (ORPHANS, ORPHANS)
        await store.write([late(other, new_id())])
        assert (await sizes(store))[1] == ORPHANS + 1, "another host has room of its own"

    async def test_and_in_bytes(self, store: AnyStore) -> None:
        host, size = new_id(), ORPHAN_BYTES // 4
        for _ in range(6):
            await store.write([late(host, new_id(), text=new_id().encode() * (size // 36))])
        assert await sizes(store) == (4, 6)
        dropped = [
            orphan
            for orphan in await all_orphans(store)
            if orphan.report is not None and orphan.report.get("output_dropped")
        ]
        assert len(dropped) == 2 and all(orphan.report["stdout_id"] is None for orphan in dropped if orphan.report)

    async def test_the_first_report_of_an_orphan_stays(self, store: AnyStore) -> None:
        host, command = new_id(), new_id()
        await store.write([late(host, command, text=b"first"), late(host, command, text=b"second", at=41)])
        await store.write([late(host, command, text=b"third", at=42)])
        assert await sizes(store) == (1, 1)
        assert await store.output(output(b"first").output_id) == output(b"first")

    @pytest.mark.parametrize("each_by_itself", [True, False])
    async def test_beside_a_row_there_is_one_output_for_each_attempt(
        self, store: AnyStore, each_by_itself: bool
    ) -> None:
        """Whether a host repeats each attempt's report, or all of them again and again."""
        made = create(hosts(1))
        row = Execution(made.command.command_id, made.task.targets[0], attempt=2, status=E.LOST, version=1)
        await store.write([made, SaveExecution(row)])
        pairs = [(attempt, number) for attempt in (1, 2, 3) for number in range(5)]
        for attempt, number in pairs if each_by_itself else sorted(pairs, key=lambda pair: pair[1]):
            await store.write([late(row.host_id, row.command_id, attempt, b"%d %d" % (attempt, number), at=number)])
        assert await sizes(store) == (2, 0)
        view = await store.execution(row.command_id, row.host_id)
        assert view is not None and view.execution.late_result == {
            "attempt": 3,
            "at": 4,
            "stdout_id": None,
            "stderr_id": None,
            "output_dropped": True,
        }

    async def test_the_same_late_report_again_changes_nothing(self, store: AnyStore) -> None:
        made = create(hosts(1))
        row = Execution(made.command.command_id, made.task.targets[0], status=E.LOST, version=1)
        one = late(row.host_id, row.command_id, 1, b"kept")
        await store.write([made, SaveExecution(row), one, one])
        await store.write([one])
        view = await store.execution(row.command_id, row.host_id)
        assert view is not None and view.execution.late_result == one.report and await sizes(store) == (1, 0)

    async def test_what_is_known_to_be_lost_is_recorded_and_its_report_restored(self, store: AnyStore) -> None:
        host, lost, silent = new_id(), new_id(), new_id()
        records = [SaveOrphan(host, command, 1, 30, seq, 3) for seq, command in enumerate((lost, silent), 7)]
        await store.write([*records, *records])
        await store.write([late(host, lost, text=b"restored")])
        await store.write(records)
        found = {orphan.command_id: orphan for orphan in await all_orphans(store, host)}
        assert (found[lost].seq, found[lost].stage, found[silent].seq, found[silent].report) == (7, 3, 8, None)
        assert found[lost].report == late(host, lost, text=b"restored").report
        assert await store.output(output(b"restored").output_id) is not None
        assert await all_orphans(store, new_id()) == []

    async def test_the_report_may_come_before_the_record(self, store: AnyStore) -> None:
        host, command = new_id(), new_id()
        await store.write([late(host, command, text=b"early")])
        await store.write([SaveOrphan(host, command, 1, 30, 9, 3)])
        (found,) = await all_orphans(store)
        assert found.seq == 9 and found.report is not None

    async def test_records_are_bounded_too(self, store: AnyStore) -> None:
        host = new_id()
        for _ in range(3):
            await store.write([SaveOrphan(host, new_id(), 1, 30, 9, 3) for _ in range(60)])
        await store.write([late(host, new_id())])
        assert (await sizes(store))[1] == ORPHANS

    async def test_a_deleted_task_has_no_orphans(self, store: AnyStore) -> None:
        made, other = create(hosts(2)), create(hosts(1))
        await store.write([made, other, DeleteTask(made.task.task_id)])
        host, command = made.task.targets[0], made.command.command_id
        assert await store.known_executions(host, [command, other.command.command_id]) == {command}
        assert await store.known_executions(other.task.targets[0], [other.command.command_id, new_id()]) == {
            other.command.command_id
        }
        await store.write([late(host, command, text=b"x")])
        assert await sizes(store) == (0, 0)
        await store.write([DeleteTask(made.task.task_id)])
        assert await store.known_executions(host, [command]) == {command}

    async def test_which_executions_are_known_is_found_for_any_number(self, store: AnyStore) -> None:
        (host,) = hosts(1)
        made = [create([host]) for _ in range(35)]
        await store.write(list(made))
        asked = [one.command.command_id for one in made] + [new_id() for _ in range(5)]
        assert await store.known_executions(host, asked) == {one.command.command_id for one in made}
        assert await store.known_executions(host, []) == set()

    async def test_orphans_are_paged_by_host_command_and_attempt(self, store: AnyStore) -> None:
        first, second = sorted(hosts(2))
        commands = sorted(new_id() for _ in range(3))
        await store.write(
            [late(host, command, attempt) for host in (first, second) for command in commands for attempt in (1, 2)]
        )
        every = await all_orphans(store)
        assert [(one.host_id, one.command_id, one.attempt) for one in every] == [
            (h, c, a) for h in (first, second) for c in commands for a in (1, 2)
        ]
        seen: list[Orphan] = []
        while page := await store.orphans(
            host_id=None,
            after="/".join(map(str, (seen[-1].host_id, seen[-1].command_id, seen[-1].attempt))) if seen else None,
            limit=5,
        ):
            seen += page
        assert seen == every
        assert await all_orphans(store, second) == every[6:]

    @pytest.mark.parametrize("number", [3])
    async def test_the_oldest_deleted_commands_are_forgotten_at_a_start(
        self, store: AnyStore, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        monkeypatch.setattr("server.store.heal.DELETED", number)
        made = [create(hosts(1), at=1_700_000_000_000 + n) for n in range(5)]
        await store.write([*made, *[DeleteTask(one.task.task_id) for one in made]])
        assert await store.heal() == []
        known = await store.known_executions(new_id(), [one.command.command_id for one in made])
        assert known == {
            one.command.command_id for one in sorted(made, key=lambda one: one.command.command_id)[-number:]
        }
