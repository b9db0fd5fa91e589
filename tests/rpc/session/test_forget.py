"""Forget, as an agent decodes it."""

from __future__ import annotations

from agent.core.events import Forget as Told
from agent.session.wire import event
from proto.messages import decode
from server.core.effects import Forget
from server.rpc.session.encode import Encoder
from server.rpc.settings import SessionTerms


def test_an_agent_decodes_the_number_up_to_which_executions_are_forgotten() -> None:
    data = Encoder(SessionTerms(1)).encode(Forget("h", 1, 300))
    assert event(decode(data), lambda spec: None) == Told(300)
