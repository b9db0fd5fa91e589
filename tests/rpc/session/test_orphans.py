"""Executions lost in the database: hosts that hold them prove it, an alarm is raised, and they are recorded or
restored."""

from __future__ import annotations

import pytest
import trio

from proto.messages import CommandContent, CommandMessage, CommandResult, Entry, Outcome, OutputDigest, Stage, Welcome
from server.core.effects import DeleteTask
from tests.rpc.peer import until
from tests.rpc.served import Opener, Said, Served, dialled, hello, opener, served
from tests.store.any_store import AnyStore
from tests.store.conformance.heals import put
from tests.store.make import new_id, output

__all__ = ["opener"]

HOST = new_id()


def result(command_id: str, text: bytes) -> bytes:
    digest = OutputDigest(head=text, total_bytes=len(text), sha256=output(text).sha256)
    return bytes(CommandMessage(command_result=CommandResult(command_id, 1, Outcome.COMPLETED, 0, stdout=digest)))


async def dispatched(one: Served, said: Said) -> tuple[str, str, int]:
    """(task_id, command_id, seq) of a command that the host was sent."""
    await one.create(task_id := new_id(), command_id := new_id(), HOST)
    content = await said.until("command_content")
    assert isinstance(content, CommandContent) and content.command_id == command_id
    return task_id, command_id, int(content.seq)


async def forget(store: AnyStore, *task_ids: str) -> None:
    """As when the log of the database was damaged: these tasks were never written."""
    for task_id in task_ids:
        for table in (
            "command_host WHERE command_id IN (SELECT command_id FROM command WHERE task_id = :task_id)",
            "command WHERE task_id = :task_id",
            "task WHERE task_id = :task_id",
        ):
            await put(store, f"DELETE FROM {table}", task_id=task_id)


@pytest.mark.timeout(60)
async def test_executions_lost_in_the_database_are_detected_recorded_and_restored(opener: Opener) -> None:
    with trio.fail_after(50):
        async with served(await opener()) as one, dialled(one.address) as said:
            await said.say(hello(HOST))
            await said.until("welcome")
            made = [await dispatched(one, said) for _ in range(4)]
        kept, deleted, lost, silent = made
        async with served(store := await opener()) as one:
            await one.writer.commit([DeleteTask(deleted[0])])
        await forget(store, lost[0], silent[0])
        async with served(store) as one, dialled(one.address) as said:
            stages = (Stage.RUNNING, Stage.DONE, Stage.DONE, Stage.ACKED)
            entries = [
                Entry(command_id, 1, seq, stage) for (_, command_id, seq), stage in zip(made, stages, strict=True)
            ]
            invented = Entry(new_id(), 1, 100_000, Stage.DONE)
            await said.say(hello(HOST, entries=[*entries, invented], max_seq=4))
            welcome = await said.until("welcome")
            assert isinstance(welcome, Welcome) and len(welcome.verdicts) == 5, "every entry gets a verdict"
            await until(lambda: one.alarms)
            assert [alarm.code for alarm in one.alarms] == ["orphans"] and "2 executions" in one.alarms[0].message
            await one.writer.commit([])
            recorded = {orphan.command_id: orphan for orphan in await store.orphans(host_id=HOST, after=None, limit=10)}
            assert recorded.keys() == {lost[1], silent[1]} and recorded[lost[1]].seq == lost[2]
            for _, command_id, _ in (lost, deleted):
                await said.say(result(command_id, b"what it said"))
                await said.until("result_ack")
            found = {orphan.command_id: orphan for orphan in await store.orphans(host_id=HOST, after=None, limit=10)}
            assert found.keys() == recorded.keys(), "nothing is kept of a deleted task"
            report = found[lost[1]].report
            assert report is not None and report["outcome"] == "completed" and found[silent[1]].report is None
            assert await store.output(output(b"what it said").output_id) == output(b"what it said")
            assert one.engine.state.tasks.keys() == {kept[0]}


@pytest.mark.timeout(60)
async def test_no_alarm_is_raised_if_nothing_is_lost(opener: Opener) -> None:
    with trio.fail_after(50):
        async with served(await opener()) as one, dialled(one.address) as said:
            await said.say(hello(HOST))
            await said.until("welcome")
            made = [await dispatched(one, said) for _ in range(3)]
            for _, command_id, _ in made[1:]:
                await said.say(result(command_id, b"x"))
                await said.until("result_ack")
        async with served(store := await opener()) as one, dialled(one.address) as said:
            await said.say(
                hello(HOST, entries=[Entry(command_id, 1, seq, Stage.DONE) for _, command_id, seq in made], max_seq=3)
            )
            await said.until("welcome")
            for _, command_id, _ in made:
                await said.say(result(command_id, b"x"))
                await said.until("result_ack")
            assert one.alarms == [] and await store.orphans(host_id=None, after=None, limit=10) == []
