"""Subscribers of a command receive its committed executions."""

from __future__ import annotations

from server.core.effects import SaveExecution, SaveSeq
from server.core.model import Execution
from server.web.readmodel.commit_feed import CommitFeed


def test_each_subscriber_receives_the_rows_of_its_command_in_order_until_it_unsubscribes() -> None:
    followed, one, two = CommitFeed(), list[Execution](), list[Execution]()
    rows = [Execution("c", "a"), Execution("other", "a"), Execution("c", "b"), Execution("c", "a", version=2)]
    saves = [SaveSeq("a", 1), *(SaveExecution(row) for row in rows)]
    followed.committed(saves)
    tell_one, tell_two = one.append, two.append
    followed.subscribe("c", tell_one)
    followed.subscribe("c", tell_two)
    followed.committed(saves)
    assert one == two == [rows[0], rows[2], rows[3]] and len(followed) == 1
    followed.unsubscribe("c", tell_one)
    followed.committed(saves)
    assert (len(one), len(two)) == (3, 6)
    followed.unsubscribe("c", tell_two)
    followed.committed(saves)
    assert len(two) == 6 and len(followed) == 0
