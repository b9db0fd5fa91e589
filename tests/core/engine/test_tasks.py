"""The life of an execution, and how a task ends."""

from __future__ import annotations

import pytest

from server.core.effects import Ack, Dispatch
from server.core.events import (
    Accepted,
    HostDisconnected,
    Outcome,
    Rejected,
    Result,
    Started,
    TaskStarted,
)
from server.core.model import Output
from server.core.states import ExecutionStep, IllegalStep
from tests.core.story import E, Story, T, kinds


@pytest.mark.capability("M10", "H2")
def test_a_command_is_sent_runs_and_completes() -> None:
    story = Story()
    story.connect("a")
    (dispatch,) = kinds(story.run("a"), Dispatch)
    assert isinstance(dispatch, Dispatch) and (dispatch.host_id, dispatch.session, dispatch.seq, dispatch.attempt) == (
        "a",
        1,
        1,
        1,
    )
    assert story.row("a").status is E.DISPATCHED and story.row("a").dispatched_at == 1_000
    story.advance(1)
    story.handle(Accepted("a", "c1", 1))
    assert story.row("a").accepted_at == 2_000
    story.advance(1)
    story.handle(Started("a", "c1", 1, 77, 555))
    assert (story.row("a").status, story.row("a").started_at, story.row("a").agent_started_at) == (
        E.RUNNING,
        3_000,
        555,
    )
    story.advance(1)
    out = Output(b"i" * 32, b"hi", b"", 2, b"i" * 32)
    acts = story.result(
        "a", exit_code=0, agent_finished_at=600, execution_ms=45, stdout=out, stderr=out, report={"max_rss_kb": 9}
    )
    row = story.row("a")
    assert (row.status, row.exit_code, row.finished_at, row.execution_ms, row.stdout_id) == (
        E.COMPLETED,
        0,
        4_000,
        45,
        b"i" * 32,
    )
    assert Ack("a", 1, "c1", 1) in acts
    assert story.task().status is T.COMPLETED and story.task().finished_at == 4_000 and story.task().started_at == 1_000
    assert story.engine.task("t1") is None and story.engine.next_deadline() is None


@pytest.mark.capability("M10")
def test_a_result_together_with_its_start_has_a_start_time() -> None:
    story = Story()
    story.connect("a")
    story.run("a")
    story.result("a", agent_started_at=5, execution_ms=400)
    assert story.row("a").started_at == 600


@pytest.mark.capability("Z3", "S4", "E2")
@pytest.mark.parametrize(
    ("outcome", "status", "ends"),
    [
        (Outcome.FAILED, E.FAILED, T.FAILED),
        (Outcome.TIMEOUT, E.TIMEOUT, T.FAILED),
        (Outcome.CANCELED, E.CANCELED, T.FAILED),
        (Outcome.LOST, E.LOST, T.FAILED),
    ],
)
def test_a_task_fails_when_one_host_did_not_complete(outcome: Outcome, status: E, ends: T) -> None:
    story = Story()
    story.connect("a", "b")
    story.run("a", "b")
    story.result("a")
    story.result("b", outcome)
    assert story.row("b").status is status and story.task().status is ends and story.task().partial


@pytest.mark.capability("Z6", "M4")
def test_a_second_start_has_no_effect() -> None:
    story = Story()
    story.connect("a")
    assert kinds(story.run("a"), Dispatch)
    assert not kinds(story.handle(TaskStarted("t1")), Dispatch)
    assert not story.handle(TaskStarted("unknown"))


@pytest.mark.capability("Z4", "G3")
def test_an_offline_host_differs_from_one_that_never_connected() -> None:
    story = Story()
    story.connect("a")
    story.handle(HostDisconnected("a", 1))
    story.run("a", "b")
    assert (story.row("a").error_code, story.row("b").error_code) == ("offline", "never_seen")
    assert story.row("a").status is E.DISPATCH_FAILED and story.task().status is T.FAILED


@pytest.mark.capability("H3")
def test_a_rejection_is_not_a_start() -> None:
    story = Story()
    story.connect("a")
    story.run("a")
    story.handle(Rejected("a", "c1", 1, "busy", "16 of 16"))
    assert (story.row("a").status, story.row("a").error_code, story.row("a").error_message) == (
        E.DISPATCH_FAILED,
        "busy",
        "16 of 16",
    )


def test_a_rejection_of_a_running_execution_is_a_contradiction() -> None:
    story = Story()
    story.connect("a")
    story.run("a")
    story.handle(Started("a", "c1", 1, 7, 7))
    story.handle(Rejected("a", "c1", 1, "busy"))
    assert story.row("a").status is E.RUNNING and story.engine.state.contradictions == 1


@pytest.mark.capability("M11")
def test_reports_of_other_hosts_and_old_attempts_change_nothing() -> None:
    story = Story()
    story.connect("a", "b")
    story.run("a")
    for event in (
        Accepted("b", "c1", 1),
        Started("a", "c1", 0, 1, 1),
        Rejected("b", "c1", 1, "busy"),
        Accepted("nobody", "c1", 1),
    ):
        assert not story.handle(event)
    acts = story.result("b")
    assert kinds(acts, Ack) and story.row("a").status is E.DISPATCHED
    assert story.shadow.late[0].host_id == "b" and story.shadow.late[0].report["outcome"] == "completed"
    assert not kinds(story.handle(Result("nobody", "c1", 1, Outcome.COMPLETED)), Ack)


@pytest.mark.capability("C8", "M8", "I2")
def test_a_late_result_is_stored_and_acknowledged() -> None:
    story = Story()
    story.connect("a")
    story.run("a")
    story.result("a")
    out = Output(b"i" * 32, b"hi", b"", 2, b"i" * 32)
    assert Ack("a", 1, "c1", 1) in story.result("a", Outcome.FAILED, stdout=out, stderr=out)
    assert story.row("a").status is E.COMPLETED and story.shadow.late[0].report["stdout_id"] == (b"i" * 32).hex()


def test_an_illegal_step_names_the_execution() -> None:
    story = Story()
    story.connect("a")
    story.run("a")
    execution = story.engine.state.tasks["t1"].executions["a"]
    with pytest.raises(IllegalStep, match="execution c1 on a: no step DISPATCH from DISPATCHED"):
        story.engine.state.step(execution, ExecutionStep.DISPATCH)


def test_the_command_of_a_task_is_known_until_it_ends() -> None:
    story = Story()
    story.connect("a")
    story.run("a")
    assert story.engine.command_of("t1") == "c1" and story.engine.command_of("none") is None
    story.result("a")
    assert story.engine.command_of("t1") is None
