"""Messages of a session that another one has replaced."""

from __future__ import annotations

from proto.messages import CommandMessage, Rejected
from server.core.states import ExecutionStatus
from tests.rpc.peer import COMMAND, HOST, Edge
from tests.rpc.session.test_session import start, status


async def test_a_rejected_from_a_replaced_session_does_not_reject_the_repeated_dispatch() -> None:
    """The first connection's Rejected is read after the second one's Hello: since then the dispatch is under way once
    more."""
    async with Edge().serve() as edge, edge.agent() as first:
        await first.hello()
        await first.hear()
        start(edge)
        await first.hear()
        old = edge.registry.session(HOST)
        assert old is not None
        live = edge.port.streams._open_streams[old.number]  # type: ignore[union-attr]
        edge.registry.attach(
            HOST, "127.0.0.1:9", 0, lambda session: None
        )  # as the second Hello does, in the same slice
        now = edge.port.streams._clock.now().mono  # type: ignore[union-attr]
        edge.port.streams.handle_rows([(live, 5, COMMAND, 1)], now)  # type: ignore[union-attr]
        assert old.ended == "superseded" and edge.engine.state.tasks["t"].executions[HOST].row.accepted_at is None
        refused = bytes(CommandMessage(rejected=Rejected(COMMAND, 1, "busy")))
        edge.port.streams.handle_rows([(live, 6, refused)], now)  # type: ignore[union-attr]
        assert status(edge) is ExecutionStatus.DISPATCHED
