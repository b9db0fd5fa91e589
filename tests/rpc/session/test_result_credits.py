"""Credits for results: all at once, or one while the writer is full and the rest later."""

from __future__ import annotations

from server.core.effects import Ack, Welcome
from server.fleet.session import OutboxLimits, Session
from server.rpc.session.result_credits import GRANTED_AT_ONCE, INITIAL, ResultCredits


class Queue:
    """A writer that is full or not."""

    full = False


def session(number: int = 1) -> Session:
    return Session(f"h{number}", number, "127.0.0.1:1", 0, OutboxLimits(), lambda session: None)


def welcome(one: Session) -> Welcome:
    return Welcome(one.host_id, one.number)


def test_a_session_welcomed_by_an_idle_writer_gets_all_credits_at_once() -> None:
    queue = Queue()
    credits, one = ResultCredits(64, queue), session()  # type: ignore[arg-type]
    assert credits.for_message(one, welcome(one)) == 64
    assert credits.take_due() == (0, [])


def test_a_full_writer_grants_no_more_credits() -> None:
    queue = Queue()
    credits, one = ResultCredits(64, queue), session()  # type: ignore[arg-type]
    queue.full = True
    assert credits.for_message(one, welcome(one)) == INITIAL
    for _ in range(3):
        assert credits.take_due() == (0, []), "the writer is still full"
    queue.full = False
    assert credits.take_due() == (63, [one])
    assert credits.take_due() == (0, []), "once"


def test_acts_other_than_a_welcome_owe_no_credits() -> None:
    queue = Queue()
    credits, one = ResultCredits(64, queue), session()  # type: ignore[arg-type]
    queue.full = True
    credits.for_message(one, Ack(one.host_id, one.number, "c", 1))
    queue.full = False
    assert credits.take_due() == (0, [])


def test_outstanding_credits_of_many_sessions_are_granted_in_turns() -> None:
    queue = Queue()
    credits = ResultCredits(64, queue)  # type: ignore[arg-type]
    queue.full = True
    sessions = [session(number) for number in range(GRANTED_AT_ONCE + 1)]
    for one in sessions:
        credits.for_message(one, welcome(one))
    queue.full = False
    assert credits.take_due() == (63, sessions[:-1])
    queue.full = True
    assert credits.take_due() == (0, []), "the writer has filled up between the two"
    queue.full = False
    assert credits.take_due() == (63, sessions[-1:])
