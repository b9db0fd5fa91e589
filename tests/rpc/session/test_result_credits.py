"""Credits for results: all of them, or one while the writer has too much to write, and the rest when there is room."""

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


def test_a_session_welcomed_while_there_is_room_gets_all_at_once_and_nothing_later() -> None:
    queue = Queue()
    credits, one = ResultCredits(64, queue), session()  # type: ignore[arg-type]
    assert credits.for_message(one, welcome(one)) == 64
    assert credits.take_due() == (0, [])


def test_while_the_writer_is_full_nothing_more_is_granted() -> None:
    queue = Queue()
    credits, one = ResultCredits(64, queue), session()  # type: ignore[arg-type]
    queue.full = True
    assert credits.for_message(one, welcome(one)) == INITIAL
    for _ in range(3):
        assert credits.take_due() == (0, []), "the writer is still full"
    queue.full = False
    assert credits.take_due() == (63, [one])
    assert credits.take_due() == (0, []), "once"


def test_an_act_that_is_no_welcome_owes_nothing() -> None:
    queue = Queue()
    credits, one = ResultCredits(64, queue), session()  # type: ignore[arg-type]
    queue.full = True
    credits.for_message(one, Ack(one.host_id, one.number, "c", 1))
    queue.full = False
    assert credits.take_due() == (0, [])


def test_of_many_the_rest_is_granted_the_next_time() -> None:
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
