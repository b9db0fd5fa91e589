"""Encodes what the server sends to agents. What all hosts of a command share is encoded once.

Concatenated protobuf messages merge (protobuf encoding guide, "Last One Wins"). So a dispatch is the shared part
followed by the host's own fields, wrapped as member 1 of CommandMessage.
"""

from __future__ import annotations

from collections import OrderedDict

from _speedups.messages import encode_ack, encode_dispatch, encode_heartbeat, encode_welcome, varint
from proto.messages import CommandContent, CommandMessage, Drain
from proto.messages import Credit as CreditMessage
from proto.messages import Forget as ForgetMessage
from proto.messages import Watch as WatchMessage
from server.core.effects import Ack, Cancel, Dispatch, Forget, Welcome
from server.core.model import Command
from server.core.results.live_output import STDERR, STDOUT, OutputCredit, WatchOutput
from server.fleet.session import Outgoing
from server.rpc.settings import SessionTerms

CACHED = 256
"""Commands whose shared part is kept."""


class Encoder:
    """Encodes the acts of the engine for agents. terms: what each Welcome announces."""

    def __init__(self, terms: SessionTerms) -> None:
        self._terms = terms
        self._shared: OrderedDict[str, bytes] = OrderedDict()

    def encode(self, act: Outgoing, credits: int = 0) -> bytes:
        """Encode one act. credits: result credits of a Welcome; 0 for those of the terms."""
        if isinstance(act, Dispatch):
            return self._dispatch(act)
        if isinstance(act, Ack):
            return encode_ack(act.command_id, act.attempt)
        if isinstance(act, Cancel):
            return _cancel(act)
        if isinstance(act, Forget):
            return bytes(CommandMessage(forget=ForgetMessage(act.low)))
        if isinstance(act, WatchOutput):
            watch = WatchMessage(act.command_id, act.attempt, act.stop, act.offsets[STDOUT], act.offsets[STDERR])
            return bytes(CommandMessage(watch=watch))
        if isinstance(act, OutputCredit):
            return bytes(CommandMessage(credit=CreditMessage(output_bytes=act.output_bytes)))
        return self._welcome(act, credits or self._terms.credits)

    def _welcome(self, act: Welcome, credits: int) -> bytes:
        terms = self._terms
        verdicts = [(v.command_id, v.attempt, int(v.decision)) for v in act.verdicts]
        return encode_welcome(
            terms.epoch, act.session, credits, round(terms.heartbeat * 1000), round(terms.silence * 1000), verdicts
        )

    def _dispatch(self, act: Dispatch) -> bytes:
        return encode_dispatch(self._content(act.command), act.attempt, act.seq, act.session)

    def _content(self, command: Command) -> bytes:
        shared = self._shared.get(command.command_id)
        if shared is None:
            shared = self._shared[command.command_id] = bytes(_content(command))
            if len(self._shared) > CACHED:
                self._shared.popitem(last=False)
        return shared


def credit(results: int) -> bytes:
    """Encode a grant of result credits."""
    return bytes(CommandMessage(credit=CreditMessage(results=results)))


def heartbeat(beat: int, *, answer: bool = False) -> bytes:
    """Encode a heartbeat, or the answer to one."""
    return encode_heartbeat(beat, answer)


def drain(retry_min: float, retry_max: float) -> bytes:
    """Encode the request to reconnect later. retry_min, retry_max: bounds of the delay, in seconds."""
    return bytes(
        CommandMessage(drain=Drain(round(retry_min * 1000), round(retry_max * 1000), "the server is shutting down"))
    )


def _cancel(act: Cancel) -> bytes:
    """Encode a Cancel by hand: betterproto takes 300 µs, for each host of a canceled task."""
    body = bytearray()
    for tag, value in (
        (0x0A, act.command_id),
        (0x10, act.attempt),
        (0x18, act.seq),
        (0x22, act.journal_id),
        (0x2A, act.reason),
        (0x30, act.session),
    ):
        if isinstance(value, int):
            if value:
                body += bytes((tag,)) + varint(value)
        elif value:
            text = value.encode()
            body += bytes((tag,)) + varint(len(text)) + text
    return b"\x5a" + varint(len(body)) + body


def _content(command: Command) -> CommandContent:
    return CommandContent(
        command_id=command.command_id,
        task_id=command.task_id,
        command=command.command or "",
        argv=list(command.argv or ()),
        script=(command.script or "").encode(),
        interpreter=command.interpreter or "",
        args=list(command.args),
        parameters=dict(command.parameters),
        env=dict(command.env),
        cwd=command.cwd or "",
        run_as=command.run_as or "",
        umask=command.umask,
        stdin=command.stdin or b"",
        timeout_ms=command.timeout_ms,
        grace_ms=command.grace_ms,
        start_within_ms=command.start_within_ms,
        max_output=command.max_output,
        detach=command.detach,
        success_codes=list(command.success_codes),
    )
