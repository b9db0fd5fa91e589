"""What every store must do: server/store/base.py, executed. A store's test module inherits the class and adds
`store`."""

from __future__ import annotations

import pytest

from server.core.effects import (
    CreateTask,
    DeleteHost,
    DeleteTask,
    SaveExecution,
    SaveHost,
    SaveLate,
    SaveMeta,
    SaveOutput,
    SaveSeen,
    SaveSeq,
    SaveTask,
)
from server.core.model import Command, Execution, Host, Retry
from server.core.states import ExecutionStatus as E
from server.core.states import TaskStatus as T
from server.store.base import KeyTaken, KnownKey, OutputSummary, StoreRefused
from tests.changed import replace
from tests.store.any_store import AnyStore
from tests.store.make import create, hosts, moved, new_id, output

NASTY = "100%s %(x)s 'a' \"b\" \\ \\' `;-- \x00 \x1a\r\n\t 密码 🙂 {x} :name"


class StoreConformance:
    @pytest.mark.capability("M2", "D1", "D5")
    async def test_a_task_comes_back_as_it_went_in_but_for_its_targets(self, store: AnyStore) -> None:
        made = create(
            hosts(3), name=NASTY, description=NASTY * 50, type="t'%", created_by=NASTY, target_text=NASTY, parameters={NASTY: NASTY},  # noqa: E501
            timeout_ms=5, concurrency=7, cancel_requested_at=8, cancel_reason="why", started_at=9, finished_at=10,
            wait_ms=11, retry=Retry(3, ("busy", "offline"), 5, 6, idempotent=True), rerun_of=new_id(), spent_ms=12, sets={"web": 3, "db-1": 1 << 40},  # noqa: E501
        )  # fmt: skip
        await store.write([made])
        assert await store.task(made.task.task_id) == replace(made.task, targets=())
        assert await store.targets(made.task.task_id) == made.task.targets
        assert await store.targets(new_id()) == ()
        assert await store.task(new_id()) is None

    @pytest.mark.capability("D2")
    async def test_a_command_comes_back_with_every_field(self, store: AnyStore) -> None:
        made = create(hosts(1))
        full = Command(
            made.command.command_id, made.task.task_id, argv=("a", NASTY), script=NASTY, interpreter="/bin/sh", args=(NASTY,),  # noqa: E501
            parameters={"p": NASTY}, env={"E": NASTY}, cwd="/", run_as="nobody", umask=0o22, stdin=bytes(range(256)), timeout_ms=1,  # noqa: E501
            grace_ms=2, start_within_ms=3, max_output=1 << 40, detach=True, success_codes=(0, 3),
        )  # fmt: skip
        await store.write([replace(made, command=full)])
        assert await store.commands(made.task.task_id) == [full]

    @pytest.mark.capability("Z5")
    async def test_a_new_task_has_one_pending_row_per_target(self, store: AnyStore) -> None:
        made = create(hosts(3))
        await store.write([made])
        views = await store.executions(made.command.command_id, after=None, limit=10)
        assert [view.execution for view in views] == [
            Execution(made.command.command_id, host) for host in sorted(made.task.targets)
        ]

    @pytest.mark.capability("D3")
    async def test_a_row_comes_back_with_every_field(self, store: AnyStore) -> None:
        made = create(hosts(1))
        row = Execution(
            made.command.command_id, made.task.targets[0], attempt=2, status=E.FAILED, version=9, seq=3, journal_id="j" * 36, unreachable=True,  # noqa: E501
            cancel_requested_at=1, dispatched_at=2, accepted_at=3, started_at=4, finished_at=5, agent_started_at=-6, agent_finished_at=7,  # noqa: E501
            execution_ms=8, exit_code=-1, signal=9, error_code="e" * 100, error_message=NASTY * 100, stdout_id=bytes(range(32)),  # noqa: E501
            stderr_id=bytes(range(224, 256)), report={"usage": {"cpu": 1.5, "t": NASTY}, "flags": [True, None]}, cancel_reason="expired",  # noqa: E501
            earlier=({"attempt": 1, "error_message": NASTY},), retry_at=10,
        )  # fmt: skip
        await store.write([made, SaveExecution(row)])
        view = await store.execution(row.command_id, row.host_id)
        assert view is not None and view.execution == row and view.hostname == ""

    @pytest.mark.capability("C11", "M8")
    async def test_replaying_any_prefix_of_the_history_of_a_batch_changes_nothing(self, store: AnyStore) -> None:
        made = create(hosts(4))
        last = moved(made, [E.COMPLETED, E.FAILED, E.LOST, E.RUNNING], version=2)
        batch = [
            replace(made, idempotency_key="k", request_digest=b"d" * 32),
            *moved(made, [E.DISPATCHED] * 4, version=1),
            *last,
        ]
        await store.write(batch)
        before = await _everything(store, made)
        await store.write(batch)
        await store.write(batch[:1])
        await store.write(batch[:6])
        assert await _everything(store, made) == before

    @pytest.mark.capability("M11", "O12")
    async def test_only_a_newer_version_of_an_open_row_is_taken(self, store: AnyStore) -> None:
        made = create(hosts(1))
        row = Execution(made.command.command_id, made.task.targets[0], status=E.RUNNING, version=5)
        await store.write([made, SaveExecution(row)])
        for stale in (replace(row, version=5, seq=1), replace(row, version=4, status=E.COMPLETED)):
            await store.write([SaveExecution(stale)])
        assert await self._row(store, row) == row
        ended = replace(row, version=6, status=E.COMPLETED)
        await store.write([SaveExecution(ended)])
        await store.write([SaveExecution(replace(row, version=7, status=E.FAILED))])
        assert await self._row(store, row) == ended

    async def test_within_one_batch_a_final_row_is_not_changed_either(self, store: AnyStore) -> None:
        made = create(hosts(1))
        ended = Execution(made.command.command_id, made.task.targets[0], status=E.COMPLETED, version=1)
        await store.write([made, SaveExecution(ended), SaveExecution(replace(ended, version=2, status=E.FAILED))])
        assert await self._row(store, ended) == ended

    async def test_saving_what_does_not_exist_creates_nothing(self, store: AnyStore) -> None:
        made = create(hosts(2))
        await store.write([made])
        stranger = Execution(made.command.command_id, new_id(), status=E.RUNNING, version=1)
        known = Execution(made.command.command_id, made.task.targets[0], status=E.RUNNING, version=1)
        await store.write([SaveTask(create([]).task), SaveExecution(stranger), SaveExecution(known)])
        assert len(await store.executions(made.command.command_id, after=None, limit=10)) == 2
        assert await self._row(store, known) == known
        assert sum((await store.count_tasks()).values()) == 1

    async def test_a_task_is_only_taken_forwards(self, store: AnyStore) -> None:
        made = create(hosts(1))
        newer = replace(made.task, version=3, status=T.RUNNING, started_at=5, targets=())
        await store.write([made])
        await store.write([SaveTask(newer), SaveTask(replace(newer, version=2, status=T.FAILED))])
        await store.write([SaveTask(replace(newer, version=3, status=T.FAILED))])
        assert await store.task(made.task.task_id) == newer

    @pytest.mark.capability("D3")
    @pytest.mark.parametrize(
        "content",
        [bytes(range(256)), b"\0" * 1000, "🙂'\"%s\\".encode(), b"", b"\xff\xfe" * 131072, b"'" * 262144],
        ids=["every byte", "NUL", "emoji", "empty", "256 KiB", "quotes"],
    )
    async def test_outputs_keep_every_byte(self, store: AnyStore, content: bytes) -> None:
        whole, cut = output(content), output(content, content[::-1], dropped=10)
        await store.write([SaveOutput(whole), SaveOutput(cut), SaveOutput(whole)])
        await store.write([SaveOutput(whole)])
        assert await store.output(whole.output_id) == whole
        assert await store.output(cut.output_id) == cut
        assert await store.output(bytes(32)) is None

    async def test_sizes_of_outputs_are_told_without_their_bytes(self, store: AnyStore) -> None:
        kept = [output(b"%d" % number * (number + 1)) for number in range(70)]
        cut = output(b"head", b"tail", dropped=10)
        await store.write([SaveOutput(one) for one in [*kept, cut]])
        asked = [one.output_id for one in [*kept, cut]] + [bytes(32)]
        told = await store.output_summaries(asked)
        assert told == {
            one.output_id: OutputSummary(len(one.head), len(one.tail), one.total_bytes) for one in [*kept, cut]
        }
        assert await store.output_summaries([]) == {}

    @pytest.mark.capability("D4")
    async def test_a_late_report_is_kept_beside_the_row(self, store: AnyStore) -> None:
        made = create(hosts(1))
        row = Execution(made.command.command_id, made.task.targets[0], status=E.LOST, version=1)
        late = SaveLate(row.host_id, row.command_id, 1, received_at=50, agent_finished_at=40, report={"exit_code": 0})
        await store.write([made, SaveExecution(row), late])
        assert await self._row(store, row) == replace(row, late_result={"exit_code": 0})
        await store.write([SaveExecution(replace(row, version=9)), late])
        assert await self._row(store, row) == replace(row, late_result={"exit_code": 0})

    @pytest.mark.parametrize("finished", [40, None])
    async def test_the_report_that_ended_the_row_is_not_late(self, store: AnyStore, finished: int | None) -> None:
        made = create(hosts(1))
        row = Execution(
            *(made.command.command_id, made.task.targets[0]),
            status=E.COMPLETED,
            version=1,
            agent_finished_at=finished,
            report={"a": 1},
        )
        again = SaveLate(row.host_id, row.command_id, 1, received_at=50, agent_finished_at=finished, report={"a": 1})
        await store.write([made, SaveExecution(row), again])
        await store.write([again])
        assert await self._row(store, row) == row
        await store.write([replace(again, attempt=2), again])
        assert await self._row(store, row) == replace(row, late_result={"a": 1})

    @pytest.mark.capability("D4")
    async def test_the_report_that_ended_an_earlier_attempt_is_not_late(self, store: AnyStore) -> None:
        made = create(hosts(1))
        earlier = ({"attempt": 1, "agent_finished_at": 40},)
        row = Execution(
            made.command.command_id,
            made.task.targets[0],
            attempt=2,
            status=E.COMPLETED,
            version=1,
            agent_finished_at=90,
            earlier=earlier,
        )
        again = SaveLate(row.host_id, row.command_id, 1, received_at=50, agent_finished_at=40, report={"a": 1})
        await store.write([made, SaveExecution(row), again])
        assert await self._row(store, row) == row
        await store.write([replace(again, agent_finished_at=41)])
        assert await self._row(store, row) == replace(row, late_result={"a": 1})

    @pytest.mark.capability("D4")
    async def test_a_report_for_a_row_that_does_not_exist_is_kept_once(self, store: AnyStore) -> None:
        late = SaveLate(new_id(), new_id(), 1, received_at=50, agent_finished_at=None, report={"a": NASTY})
        await store.write([late, late])
        await store.write([late])
        rows = await store.fetch("SELECT host_id, command_id, attempt, received_at FROM orphan_result", {})
        assert [tuple(row) for row in rows] == [(late.host_id, late.command_id, 1, 50)]

    @pytest.mark.capability("M20")
    async def test_deleting_a_task_leaves_nothing_of_it_and_everything_of_others(self, store: AnyStore) -> None:
        gone, kept = (
            replace(create(hosts(3)), idempotency_key=key, request_digest=b"d" * 32) for key in ("gone", "kept")
        )
        await store.write([gone, kept])
        before = await _everything(store, kept)
        await store.write(
            [*moved(gone, [E.COMPLETED] * 3, version=1, status=T.COMPLETED), DeleteTask(gone.task.task_id)]
        )
        assert await _everything(store, gone) == (None, (), [], [], None)
        assert await _everything(store, kept) == before
        await store.write([DeleteTask(gone.task.task_id), *moved(gone, [E.FAILED] * 3, version=2)])
        assert await _everything(store, gone) == (None, (), [], [], None)

    @pytest.mark.capability("I10")
    async def test_an_idempotency_key_belongs_to_the_first_task(self, store: AnyStore) -> None:
        first, second = create(hosts(1)), create(hosts(1))
        key = f"admin {NASTY}"
        await store.write([replace(first, idempotency_key=key, request_digest=b"d" * 32)])
        assert await store.known_key(key) == KnownKey(first.task.task_id, b"d" * 32)
        assert await store.known_key("other") is None
        with pytest.raises(KeyTaken, match=first.task.task_id):
            await store.write([SaveMeta("a", "b"), replace(second, idempotency_key=key, request_digest=b"e" * 32)])
        assert await store.task(second.task.task_id) is None
        assert await store.meta("a") is None
        await store.write([second])
        assert await store.task(second.task.task_id) is not None

    @pytest.mark.parametrize(
        "wrong",
        [
            lambda made: [replace(made, task=replace(made.task, name="n" * 256))],
            lambda made: [replace(made, task=replace(made.task, name="\ud800"))],
            lambda made: [replace(made, task=replace(made.task, parameters={"a": object()}))],
            lambda made: [replace(made, task=replace(made.task, name=None))],
            lambda made: [
                made,
                SaveExecution(Execution(made.command.command_id, made.task.targets[0], version=1, exit_code=1 << 70)),
            ],
        ],
        ids=["too long", "not Unicode", "not JSON", "missing", "too large"],
    )
    async def test_what_does_not_fit_is_refused_as_a_whole(self, store: AnyStore, wrong: object) -> None:
        made = create(hosts(2))
        with pytest.raises(StoreRefused):
            await store.write([SaveMeta("a", "b"), *wrong(made)])  # type: ignore[operator]
        assert await store.meta("a") is None
        assert await _everything(store, made) == (None, (), [], [], None)
        await store.write([made])
        assert await store.task(made.task.task_id) is not None

    async def test_hosts_are_overwritten_but_their_dispatch_number_never_falls(self, store: AnyStore) -> None:
        host = Host(
            new_id(), NASTY, ip="::1", os=NASTY, arch="x", version="1", labels={NASTY: NASTY}, agent_labels={"a": ""}, status="online",  # noqa: E501
            journal_id="j", boot_id="b", max_seq=5, first_seen_at=1, last_seen_at=2, last_heartbeat_at=3, created_at=4, updated_at=5,  # noqa: E501
            claimed="web", given=NASTY, former=(NASTY, "before"), replaced_by=new_id(), replaced_at=6,
        )  # fmt: skip
        await store.write([SaveHost(host)])
        assert await store.hosts() == [host]
        await store.write(
            [SaveSeq(host.host_id, 9), SaveSeq(host.host_id, 7), SaveHost(replace(host, hostname="new", max_seq=1))]
        )
        await store.write([SaveSeq(host.host_id, 8)])
        assert await store.hosts() == [replace(host, hostname="new", max_seq=9)]
        await store.write([DeleteHost(host.host_id), SaveHost(replace(host, max_seq=0))])
        assert await store.hosts() == [replace(host, max_seq=9)]
        await store.write([DeleteHost(host.host_id)])
        assert await store.hosts() == []

    async def test_when_a_host_was_last_heard_of_is_never_set_back_and_goes_with_it(self, store: AnyStore) -> None:
        host, other = Host(new_id(), "web", last_seen_at=50), Host(new_id(), "new")

        async def seen() -> dict[str, int | None]:
            return {one.host_id: one.last_seen_at for one in await store.hosts()}

        await store.write([SaveHost(host), SaveHost(other)])
        await store.write([SaveSeen(host.host_id, 40), SaveSeen(other.host_id, 7)])
        assert await seen() == {host.host_id: 50, other.host_id: 7}
        await store.write([SaveSeen(host.host_id, 90), SaveSeen(host.host_id, 80), SaveSeen(other.host_id, 6)])
        await store.write([SaveHost(host), SaveSeen(host.host_id, 70)])
        assert await seen() == {host.host_id: 90, other.host_id: 7}
        await store.write([DeleteHost(host.host_id), SaveHost(replace(host, last_seen_at=None))])
        assert await seen() == {host.host_id: None, other.host_id: 7}

    async def test_facts_about_the_installation_are_overwritten(self, store: AnyStore) -> None:
        await store.write([SaveMeta("epoch", "1"), SaveMeta("epoch", NASTY)])
        assert await store.meta("epoch") == NASTY
        assert await store.meta("other") is None

    async def test_open_tasks_come_with_what_is_needed_to_go_on(self, store: AnyStore) -> None:
        pending, running, ended = (create(hosts(5)) for _ in range(3))
        await store.write([ended, running, pending])
        await store.write(moved(running, [E.PENDING, E.DISPATCHED, E.RUNNING, E.COMPLETED, E.LOST], version=1))
        await store.write(moved(ended, [E.COMPLETED] * 5, version=1, status=T.COMPLETED))
        thinned = create(hosts(3))
        await store.write([thinned, *moved(thinned, [E.PENDING, E.CANCELED, E.PENDING], version=1, status=T.PENDING)])
        first, second, third = await store.open_tasks()
        assert [row.host_id for row in third.executions] == [thinned.task.targets[0], thinned.task.targets[2]]
        assert (first.task, first.command, list(first.executions)) == (pending.task, pending.command, [])
        assert (second.task.task_id, second.task.targets) == (running.task.task_id, running.task.targets)
        assert {row.host_id: row.status for row in second.executions} == dict(
            zip(running.task.targets[:3], (E.PENDING, E.DISPATCHED, E.RUNNING), strict=True)
        )

    async def test_a_pending_task_that_is_half_canceled_comes_with_the_other_half(self, store: AnyStore) -> None:
        """A cancel goes in slices: a server that died between two of them must not take what it has canceled for
        pending."""
        made = create(hosts(4))
        await store.write([made])
        saves = moved(made, [E.CANCELED, E.CANCELED, E.PENDING, E.PENDING], version=1, status=T.PENDING)
        await store.write(
            [
                replace(save, task=replace(save.task, cancel_reason="canceled")) if isinstance(save, SaveTask) else save
                for save in saves
            ]
        )
        (found,) = await store.open_tasks()
        assert found.task.cancel_reason == "canceled"
        assert [row.host_id for row in found.executions] == sorted(made.task.targets[2:])

    async def test_counts_at_start_are_those_of_the_tasks(self, store: AnyStore) -> None:
        assert await store.count_tasks() == dict.fromkeys(T, 0)
        assert await store.sum_executions() == dict.fromkeys(E, 0)
        one, two = create(hosts(3)), create(hosts(2))
        await store.write([one, two, *moved(one, [E.COMPLETED, E.LOST, E.LOST], version=1, status=T.FAILED)])
        assert await store.count_tasks() == dict.fromkeys(T, 0) | {T.PENDING: 1, T.FAILED: 1}
        assert await store.sum_executions() == dict.fromkeys(E, 0) | {E.PENDING: 2, E.COMPLETED: 1, E.LOST: 2}

    @pytest.mark.capability("G4", "C6", "D5")
    async def test_ten_thousand_targets_go_in_and_out(self, store: AnyStore) -> None:
        made = create(hosts(10_000))
        await store.write([made])
        await store.write(moved(made, [E.COMPLETED] * 9_999 + [E.FAILED], version=1, status=T.FAILED))
        failed = await store.executions(made.command.command_id, status=[E.FAILED], after=None, limit=10)
        assert [view.execution.host_id for view in failed] == [made.task.targets[-1]]
        await store.write([DeleteTask(made.task.task_id)])
        assert await _everything(store, made) == (None, (), [], [], None)

    async def test_an_empty_write_and_a_ping_do_no_harm(self, store: AnyStore) -> None:
        await store.write([])
        await store.ping()

    async def _row(self, store: AnyStore, row: Execution) -> Execution:
        view = await store.execution(row.command_id, row.host_id)
        assert view is not None
        return view.execution


async def _everything(store: AnyStore, made: CreateTask) -> tuple[object, ...]:
    """What the store knows of a task."""
    return (
        await store.task(made.task.task_id),
        await store.targets(made.task.task_id),
        await store.commands(made.task.task_id),
        await store.executions(made.command.command_id, after=None, limit=100_000),
        await store.known_key(made.idempotency_key) if made.idempotency_key else None,
    )
