"""An agent dies between INTENT and the start: the next one knows that nothing ran and does not report `lost`."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
import trio

from agent import recovery, runner
from agent.core.events import ShimExited
from agent.core.journal import Exit, Intent, Started
from agent.core.model import Outcome, Report
from agent.core.state import State, fold, salvage
from agent.enrolment import facts
from agent.log import Log
from agent.shim import client, records
from agent.shim.records import ShimRef, Spec
from agent.shim.system import linux
from agent.storage.spool import Order, Spool
from proto.messages import Outcome as Told
from tests.agent.peer import peer
from tests.agent.process import TOKEN, agent

KEY = ("c" * 8 + "-0000-4000-8000-000000000000", 1)
ORDER = Order(Spec(argv=["true"]))


def intent(boot_id: str) -> Intent:
    return Intent(*KEY, 7, boot_id, b"", 0, 1_000)


def found(spool: Spool, *more: object, boot_id: str = "") -> tuple[Outcome, str]:
    boot = facts.boot_id()
    state = fold([intent(boot_id or boot), *more])  # type: ignore[list-item]
    (one,) = recovery.find(state, spool, boot)
    assert one.key == KEY and one.report is not None and one.shim is None
    return one.report.outcome, one.report.error_code


NEVER = (Outcome.FAILED, "agent_died")


def test_without_a_directory_nothing_was_started(tmp_path: Path) -> None:
    assert found(Spool(tmp_path / "commands")) == NEVER


@pytest.mark.capability("I7")
@pytest.mark.parametrize("written", [True, False], ids=["asked for", "not yet written"])
def test_an_execution_without_a_claim_never_starts_at_any_later_lookup(tmp_path: Path, written: bool) -> None:
    spool = Spool(tmp_path / "commands")
    directory = spool.make(KEY, ORDER)
    if not written:
        (directory / records.SPEC).unlink()
    assert [found(spool) for _ in range(3)] == [NEVER] * 3
    with pytest.raises(records.RecordError, match="is missing"):
        records.read_spec(directory)


@pytest.mark.capability("F15")
def test_the_proof_of_a_missing_start_needs_no_disk_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path / "commands")
    spool.make(KEY, ORDER)
    real = os.open

    def full(path: object, flags: int, *rest: object, **more: object) -> int:
        assert not flags & os.O_CREAT, "a file would be made"
        return real(path, flags, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", full)
    assert found(spool) == NEVER


def test_a_shim_that_claims_the_execution_at_the_last_moment_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = Spool(tmp_path / "commands").make(KEY, ORDER)
    real, theirs = os.rename, '{"pid": 1, "starttime": 2, "boot_id": "b"}'

    def late(source: object, target: object) -> None:
        if not (directory / records.CLAIM).exists():
            (directory / records.CLAIM).write_text(theirs)
        real(source, target)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "rename", late)
    claim = runner.prevent_start(directory)
    assert claim is not None and (claim.pid, claim.starttime) == (1, 2)
    assert records.read_spec(directory).argv == ["true"], "what ends its leftovers reads it again"


def test_an_execution_whose_shim_ended_stays_lost(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "commands")
    (spool.make(KEY, ORDER) / records.CLAIM).write_text(
        f'{{"pid": 4000000, "starttime": 2, "boot_id": "{facts.boot_id()}"}}'
    )
    assert found(spool) == (Outcome.LOST, "shim_died")


def test_a_started_execution_without_a_trace_stays_lost(tmp_path: Path) -> None:
    started = Started(*KEY, 4_000_000, 2, facts.boot_id(), 1_000)
    assert found(Spool(tmp_path / "commands"), started) == (Outcome.LOST, "journal_lost")


def test_after_a_reboot_nothing_is_certain(tmp_path: Path) -> None:
    assert found(Spool(tmp_path / "commands"), boot_id="of before") == (Outcome.LOST, "rebooted")


@pytest.mark.capability("F16")
def test_an_intent_in_a_damaged_journal_does_not_prove_a_missing_start(tmp_path: Path) -> None:
    whole = [intent(facts.boot_id()), Started(*KEY, 1, 2, facts.boot_id(), 1), Exit(*KEY, Report(Outcome.COMPLETED), 2)]
    state, _ = salvage(whole[:1])
    # and it is still none when that journal has been written anew and read again
    for one in (state, fold(state.records())):
        assert isinstance(one, State)
        (left,) = recovery.find(one, Spool(tmp_path / "commands"), facts.boot_id())
        assert left.report is not None and (left.report.outcome, left.report.error_code) == (
            Outcome.LOST,
            "journal_lost",
        )


class Gone:
    """A fork server whose shims have ended when their pid is returned. claims: they had claimed the directory."""

    def __init__(self, claims: bool) -> None:
        self._claims = claims

    async def spawn(self, directory: Path) -> ShimRef:
        ref = ShimRef(4_000_000, 2, facts.boot_id())
        if self._claims:
            (directory / records.CLAIM).write_text(
                f'{{"pid": {ref.pid}, "starttime": {ref.starttime}, "boot_id": "{ref.boot_id}"}}'
            )
        return ref


@pytest.mark.parametrize(
    ("claims", "end"), [(False, (Outcome.FAILED, "spawn_failed")), (True, (Outcome.LOST, "shim_died"))]
)
async def test_a_shim_that_ends_without_a_claim_has_started_nothing(
    tmp_path: Path, claims: bool, end: tuple[Outcome, str]
) -> None:
    told: list[object] = []
    spool = Spool(tmp_path / "commands")
    async with trio.open_nursery() as nursery:
        runner.Runner(spool, Gone(claims), nursery, told.append, Log()).spawn(KEY, ORDER)
    (exited,) = [event for event in told if isinstance(event, ShimExited)]
    assert (exited.report.outcome, exited.report.error_code) == end
    assert (spool.path(KEY) / records.SPEC).exists() is claims, "a later shim would find nothing to start"


class Thief:
    """A fork server whose shim runs while its directory is removed. lost: it ends before it has answered."""

    def __init__(self, lost: bool) -> None:
        self._lost = lost

    async def spawn(self, directory: Path) -> ShimRef:
        shutil.rmtree(directory)
        if self._lost:
            raise client.ForkServerLost("gone")
        return ShimRef(4_000_000, 2, facts.boot_id())


@pytest.mark.parametrize("lost", [False, True], ids=["while it runs", "before it is known"])
async def test_a_failed_lookup_does_not_prove_a_missing_start(tmp_path: Path, lost: bool) -> None:
    told: list[object] = []
    async with trio.open_nursery() as nursery:
        runner.Runner(Spool(tmp_path / "commands"), Thief(lost), nursery, told.append, Log()).spawn(KEY, ORDER)
    (exited,) = [event for event in told if isinstance(event, ShimExited)]
    assert (exited.report.outcome, exited.report.error_code) == (Outcome.LOST, "shim_died")


def children(pid: int) -> list[int]:
    """Return the children of all its threads."""
    found = [Path(entry, "children").read_text().split() for entry in Path(f"/proc/{pid}/task").iterdir()]
    return [int(one) for each in found for one in each]


def ended(pid: int) -> bool:
    one = linux.process(pid)
    return one is None or one.dead


@pytest.mark.capability("I7", "F3")
async def test_a_command_of_an_agent_killed_with_a_hanging_fork_server_never_starts(tmp_path: Path) -> None:
    async with peer(TOKEN) as server, agent(tmp_path, server.port) as process:
        await server.welcomed(1)
        assert process.process is not None
        (forks,) = children(process.process.pid)
        os.kill(forks, signal.SIGSTOP)
        try:
            command = await server.dispatch(command=f"echo x >> {tmp_path}/starts")
            with trio.fail_after(10):
                while not (process.directory(command) / records.SPEC).exists():  # noqa: ASYNC110
                    await trio.sleep(0.005)
            await process.kill()
            await server.gone()
            await process.start()
            result = await server.result(command)
            assert (result.outcome, result.error_code) == (Told.FAILED, "agent_died")
        finally:
            os.kill(forks, signal.SIGCONT)
        # it still finds the request of the dead agent, and makes a shim for it
        with trio.fail_after(10):
            while not ended(forks):  # noqa: ASYNC110
                await trio.sleep(0.01)
        other = await server.dispatch(command="true")
        await server.result(other)
        assert not (tmp_path / "starts").exists()
