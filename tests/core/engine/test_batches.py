"""Several reports in one batch have the same effect as one after another."""

from __future__ import annotations

from server.core.effects import Ack, SaveLate
from server.core.events import Accepted, HostConnected, Outcome, Rejected, Result, Started
from tests.core.story import JOURNAL, E, Story, T, kinds


def test_all_reports_of_an_execution_in_one_batch() -> None:
    story = Story()
    story.connect("a", "b")
    story.run("a", "b")
    reports = [
        kind
        for host in "ab"
        for kind in (
            Accepted(host, "c1", 1),
            Started(host, "c1", 1, 7, 7),
            Result(host, "c1", 1, Outcome.COMPLETED, exit_code=0),
        )
    ]
    acts = story.handle(*reports)
    assert [ack.host_id for ack in kinds(acts, Ack) if isinstance(ack, Ack)] == ["a", "b"]
    assert story.task().status is T.COMPLETED


def test_the_second_result_of_one_batch_is_late() -> None:
    story = Story()
    story.connect("a")
    story.run("a")
    effects = story.engine.handle(
        [Result("a", "c1", 1, Outcome.COMPLETED, exit_code=0), Result("a", "c1", 1, Outcome.FAILED, exit_code=1)],
        story.now,
    )
    assert [type(save) is SaveLate for save in effects.saves].count(True) == 1
    story.shadow.apply(effects)
    assert story.row("a").status is E.COMPLETED and story.row("a").exit_code == 0
    assert len(kinds(effects.acts, Ack)) == 2, "both are acknowledged"


def test_reports_after_the_end_in_one_batch_change_nothing() -> None:
    story = Story()
    story.connect("a")
    story.run("a")
    story.handle(
        Rejected("a", "c1", 1, "busy"),
        Started("a", "c1", 1, 7, 99),
        Accepted("a", "c1", 1),
        Rejected("a", "c1", 1, "disk_full"),
    )
    row = story.row("a")
    assert (row.status, row.error_code, row.agent_started_at) == (E.DISPATCH_FAILED, "busy", None)
    assert story.engine.state.contradictions == 0


def test_a_report_after_a_hello_in_one_batch_sees_its_effect() -> None:
    story = Story()
    story.connect("a")
    story.run("a")
    story.handle(Accepted("a", "c1", 1), HostConnected("a", 2, "journal-2", 16), Started("a", "c1", 1, 7, 7))
    assert (story.row("a").status, story.row("a").error_code) == (E.LOST, "journal_lost")
    assert story.row("a").journal_id == JOURNAL
