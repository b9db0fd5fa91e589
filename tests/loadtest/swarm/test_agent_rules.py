"""A simulated agent follows the real agent's rules, without sockets and clock."""

from __future__ import annotations

import pytest

from loadtest.swarm.agent import Agent, Now
from loadtest.swarm.journal import ACKED_KEPT, TOMBS_KEPT
from loadtest.swarm.protocol import decode as heard
from loadtest.swarm.shared import Shared
from proto.messages import CommandResult, Decision, Entry, Outcome, Stage, decode, kind_of

ID = "01900000-0000-7000-8000-%012d"
NOW = Now(100.0, 1_700_000_000_000)


@pytest.fixture
def agent() -> Agent:
    """An agent with session 5."""
    made = Agent(0, ID % 999, "sim-000000", "journal-a", Shared(0, 1), slots=2)
    made.welcome(heard.Welcome(epoch=3, session=5, credits=0), NOW)
    return made


def said(agent: Agent) -> list[tuple[str, object]]:
    messages = [kind_of(decode(raw)) for raw in agent.say]
    agent.say.clear()
    return messages


def kinds(agent: Agent) -> list[str]:
    return [kind for kind, _ in said(agent)]


def run(
    agent: Agent, number: int = 1, command: str = "echo a", *, attempt: int = 1, session: int = 5, **more: int
) -> None:
    agent.handle(
        heard.Content(command_id=ID % number, command=command, attempt=attempt, seq=number, session=session, **more),
        NOW,
    )


def ack(agent: Agent, number: int = 1) -> None:
    agent.handle(heard.Ack(ID % number, 1), NOW)


def cancel(
    agent: Agent, number: int = 1, *, journal_id: str = "journal-a", session: int = 5, reason: str = "canceled"
) -> None:
    agent.handle(heard.Cancel(ID % number, 1, number, journal_id, reason, session), NOW)


def reconnect(agent: Agent, verdicts: dict[heard.Key, int] | None = None, session: int = 6, **more: int) -> list[Entry]:
    """Return the entries of its Hello; then it gets a Welcome."""
    agent.disconnected()
    entries = list(decode(agent.hello()).hello.entries)
    agent.welcome(heard.Welcome(epoch=4, session=session, verdicts=verdicts or {}, **more), NOW)
    return entries


def result(agent: Agent) -> CommandResult:
    (one,) = [value for kind, value in said(agent) if kind == "command_result"]
    assert isinstance(one, CommandResult)
    return one


def test_a_quick_command_is_accepted_started_and_ended_at_once(agent: Agent) -> None:
    run(agent)
    assert kinds(agent) == ["accepted", "started", "command_result"]
    assert agent.shared.starts_of(ID % 1) == b"\x01"


def test_the_same_dispatch_is_never_started_again(agent: Agent) -> None:
    run(agent)
    first = list(agent.say)
    agent.say.clear()
    run(agent)
    assert agent.say == first[-1:]
    ack(agent)
    agent.say.clear()
    run(agent)
    repeated = result(agent)
    assert repeated.outcome is Outcome.COMPLETED and repeated.stdout.head == b""
    run(agent, 2, "sleep 9")
    agent.say.clear()
    run(agent, 2, "sleep 9")
    assert kinds(agent) == ["accepted", "started"]
    assert (agent.shared.starts_of(ID % 1), agent.shared.starts_of(ID % 2)) == (b"\x01", b"\x01")


def test_an_older_attempt_than_one_seen_is_refused(agent: Agent) -> None:
    run(agent, attempt=2)
    agent.say.clear()
    run(agent, attempt=1)
    ((kind, value),) = said(agent)
    assert (kind, value.reason) == ("rejected", "duplicate")  # type: ignore[attr-defined]


def test_messages_of_another_session_are_dropped(agent: Agent) -> None:
    run(agent, session=4)
    cancel(agent, session=4)
    assert agent.say == []
    assert agent.shared.counts["dropped_of_other_sessions"] == 2
    assert agent.journal.entries == {}


def test_more_commands_than_slots_are_refused_as_busy_each_time(agent: Agent) -> None:
    for number in (1, 2, 3, 3):
        run(agent, number, "sleep 9")
    refused = [value for kind, value in said(agent) if kind == "rejected"]
    assert [one.reason for one in refused] == ["busy", "busy"]  # type: ignore[attr-defined]


def test_a_result_is_reported_after_every_welcome_until_it_is_acknowledged(agent: Agent) -> None:
    run(agent, command="exit 3")
    first = agent.say[-1]
    for session in (6, 7):
        (entry,) = reconnect(agent, session=session)
        assert (entry.command_id, entry.seq, entry.stage, entry.outcome) == (ID % 1, 1, Stage.DONE, Outcome.FAILED)
        assert agent.say == [first]
    ack(agent)
    agent.say.clear()
    (entry,) = reconnect(agent, session=8)
    assert entry.stage is Stage.ACKED
    assert agent.say == []


@pytest.mark.parametrize("decision", [Decision.KEEP, Decision.STOP])
def test_an_acknowledged_result_is_sent_again_without_its_output(agent: Agent, decision: Decision) -> None:
    run(agent)
    ack(agent)
    reconnect(agent, {(ID % 1, 1): int(decision)})
    assert result(agent).stdout.head == b""


def test_the_verdict_ack_settles_a_result(agent: Agent) -> None:
    run(agent)
    reconnect(agent, {(ID % 1, 1): heard.ACK})
    assert agent.say == []
    assert agent.shared.counts["acked"] == 1


def test_the_verdict_drop_forgets_the_execution_but_not_its_id(agent: Agent) -> None:
    run(agent, command="sleep 9")
    (wake,) = agent.wakes
    reconnect(agent, {(ID % 1, 1): heard.DROP})
    agent.due(wake)
    assert agent.say == []
    run(agent, command="sleep 9", session=6)
    assert result(agent).outcome is Outcome.LOST
    assert agent.shared.starts_of(ID % 1) == b"\x01"


def test_the_verdict_stop_ends_a_running_command(agent: Agent) -> None:
    run(agent, command="sleep 9")
    reconnect(agent, {(ID % 1, 1): heard.STOP})
    assert result(agent).outcome is Outcome.CANCELED


def test_running_commands_continue_without_a_connection(agent: Agent) -> None:
    run(agent, command="sleep 2")
    (wake,) = agent.wakes
    assert wake.at == NOW.mono + 2
    agent.disconnected()
    agent.due(wake)
    assert agent.say == []
    (entry,) = reconnect(agent)
    assert entry.stage is Stage.DONE
    assert result(agent).outcome is Outcome.COMPLETED


def test_a_new_session_reports_the_running_command(agent: Agent) -> None:
    run(agent, command="sleep 2")
    (entry,) = reconnect(agent)
    assert entry.stage is Stage.RUNNING
    assert kinds(agent) == ["started"]


def test_a_cancel_ends_a_running_command_once(agent: Agent) -> None:
    run(agent, command="sleep 9")
    (wake,) = agent.wakes
    agent.say.clear()
    cancel(agent)
    ended = result(agent)
    assert (ended.outcome, ended.exit_code, ended.kill.reason, ended.kill.tree_empty) == (
        Outcome.CANCELED,
        None,
        "canceled",
        True,
    )
    agent.due(wake)
    assert agent.say == []


def test_a_cancel_for_a_timeout_ends_the_command_as_timed_out(agent: Agent) -> None:
    run(agent, command="sleep 9")
    agent.say.clear()
    cancel(agent, reason="timeout")
    assert result(agent).outcome is Outcome.TIMEOUT


def test_a_cancel_before_the_dispatch_prevents_the_start(agent: Agent) -> None:
    cancel(agent)
    run(agent)
    answers = said(agent)
    assert [(kind, value.reason) for kind, value in answers] == [("rejected", "canceled_before_start")] * 2  # type: ignore[attr-defined]
    assert agent.shared.starts_of(ID % 1) == b"\x00"


def test_a_cancel_for_another_journal_is_answered_as_lost(agent: Agent) -> None:
    cancel(agent, journal_id="journal-of-before")
    assert result(agent).outcome is Outcome.LOST


def test_a_command_ends_at_its_own_timeout(agent: Agent) -> None:
    run(agent, command="sleep 9", timeout_ms=500)
    (wake,) = agent.wakes
    assert wake.at == NOW.mono + 0.5
    agent.say.clear()
    agent.due(wake)
    ended = result(agent)
    assert (ended.outcome, ended.error_code, ended.duration_us) == (Outcome.TIMEOUT, "timed_out", 500_000)


def test_success_codes_decide_the_outcome(agent: Agent) -> None:
    agent.handle(
        heard.Content(command_id=ID % 1, command="exit 3", attempt=1, seq=1, session=5, success_codes=[3]), NOW
    )
    ended = result(agent)
    assert (ended.outcome, ended.exit_code, ended.error_code) == (Outcome.COMPLETED, 3, "")


def test_unacknowledged_results_are_limited_by_the_credits(agent: Agent) -> None:
    reconnect(agent, credits=2)
    for number in range(1, 6):
        run(agent, number, session=6)
    assert kinds(agent).count("command_result") == 2
    ack(agent, 1)
    assert kinds(agent) == ["command_result"]
    agent.handle(heard.Credit(results=2), NOW)
    assert kinds(agent) == ["command_result"] * 2


def test_remembered_executions_are_bounded_and_forgotten_ones_never_start(agent: Agent) -> None:
    many = ACKED_KEPT + TOMBS_KEPT + 10
    for number in range(1, many + 1):
        run(agent, number)
        ack(agent, number)
    assert len(agent.journal.entries) == ACKED_KEPT
    assert len(agent.journal.tombstones) == TOMBS_KEPT
    assert len(agent.journal.newest) == ACKED_KEPT + TOMBS_KEPT
    assert agent.journal.low == 10
    agent.say.clear()
    for number in (5, 20, many):
        run(agent, number)
    assert [value.outcome for _, value in said(agent)] == [Outcome.LOST, Outcome.COMPLETED, Outcome.COMPLETED]  # type: ignore[attr-defined]
    assert agent.shared.counts["started"] == many


def test_forget_turns_acknowledged_entries_into_tombstones(agent: Agent) -> None:
    for number in (1, 2, 3):
        run(agent, number)
        ack(agent, number)
    agent.handle(heard.Forget(2), NOW)
    assert [entry.seq for entry in decode(agent.hello()).hello.entries] == [3]
    agent.say.clear()
    run(agent, 1)
    assert result(agent).outcome is Outcome.COMPLETED


def test_hello_names_the_highest_number_and_epoch(agent: Agent) -> None:
    run(agent, 41)
    hello = decode(agent.hello()).hello
    assert (hello.max_seq, hello.max_epoch, hello.slots, hello.journal_id) == (41, 3, 2, "journal-a")
