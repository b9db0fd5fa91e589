"""Translates between protocol messages and the events and effects of the engine. Messages of the server are checked
here.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import msgspec

from agent.core import effects as out
from agent.core import events as ev
from agent.core.model import Digest, Key, Report
from agent.enrolment.facts import Facts
from agent.shim.records import Spec
from agent.storage.spool import STDIN, Order
from proto import messages as pb
from proto.ids import is_id

REASONS = ("canceled", "timeout", "expired")
MAX_ATTEMPT = 1_000_000
Read = Callable[[Key, str, Digest], tuple[bytes, bytes]]


class Unusable(ValueError):
    """The server broke the protocol with a message that cannot be answered."""


def hello(host_id: str, boot_id: str, hello: out.Hello, facts: Facts, slots: int) -> pb.CommandMessage:
    """Build the Hello message."""
    entries = [
        pb.Entry(*entry.key, entry.seq, pb.Stage(int(entry.stage)), pb.Outcome(int(entry.outcome)))
        for entry in hello.entries
    ]
    about = pb.Facts(facts.hostname, facts.ip, facts.os, facts.arch, facts.version, dict(facts.labels))
    return pb.CommandMessage(
        hello=pb.Hello(
            host_id=host_id,
            journal_id=hello.journal_id,
            boot_id=boot_id,
            max_seq=hello.max_seq,
            max_epoch=hello.max_epoch,
            entries=entries,
            facts=about,
            slots=slots,
            protocol=pb.PROTOCOL,
        )
    )


def event(message: pb.CommandMessage, refuse: Callable[[Spec], ev.Refusal | None]) -> ev.Event | None:
    """Return the event in a message, or None for a kind that the engine does not handle.

    Raises:
        Unusable: The message breaks the protocol.
    """
    kind, value = pb.kind_of(message)
    match kind, value:
        case "command_content", pb.CommandContent():
            return dispatch(value, refuse)
        case "cancel", pb.Cancel():
            reason = value.reason if value.reason in REASONS else "canceled"
            return ev.Cancel(key_of(value), value.seq, value.session, value.journal_id, reason)
        case "result_ack", pb.ResultAck():
            return ev.ResultAck(key_of(value))
        case "forget", pb.Forget():
            return ev.Forget(value.low)
        case "credit", pb.Credit():
            return ev.Credit(value.results)
    return None


def welcome(value: pb.Welcome) -> ev.Welcome:
    """Translate a Welcome. A decision that this version does not know counts as KEEP.

    Raises:
        Unusable: The message breaks the protocol.
    """
    verdicts = []
    for verdict in value.verdicts:
        number = int(verdict.decision)
        verdicts.append(ev.Verdict(key_of(verdict), ev.Decision(number) if 1 <= number <= 4 else ev.Decision.KEEP))
    return ev.Welcome(value.epoch, value.session, value.credits, verdicts)


def dispatch(value: pb.CommandContent, refuse: Callable[[Spec], ev.Refusal | None]) -> ev.Dispatch:
    """Translate a dispatch.

    Args:
        value: The message.
        refuse: Returns why the host's policy refuses a command, or None.

    Raises:
        Unusable: The message breaks the protocol.
    """
    key = key_of(value)
    order, refusal = None, None
    try:
        order = order_of(value)
    except ValueError as error:
        refusal = ev.Refusal("invalid_spec", str(error))
    else:
        refusal = refuse(order.spec)
    return ev.Dispatch(
        key=key,
        seq=value.seq,
        session=value.session,
        start_within_ms=value.start_within_ms,
        digest=sha256(msgspec.json.encode(order.spec) + order.stdin).digest() if order else b"",
        size=order.size if order else 0,
        spec=order,
        refusal=refusal,
    )


def order_of(value: pb.CommandContent) -> Order:
    """Return what to run.

    Raises:
        ValueError: Names the field that cannot be carried out.
    """
    if value.seq < 1:
        raise ValueError("seq: must be at least 1")
    try:
        script = value.script.decode() if value.script else None
    except UnicodeDecodeError as error:
        raise ValueError(f"script: is not UTF-8: {error.reason} at byte {error.start}") from error
    for name, text in _texts(value):
        if "\0" in text:
            raise ValueError(f"{name}: must not hold a zero byte")
    for name in (*value.env, *(f"P_{name}" for name in value.parameters)):
        if not name or "=" in name:
            raise ValueError(f"env, parameters: {name!r} cannot be the name of a variable")
    if value.cwd and not value.cwd.startswith("/"):
        raise ValueError(f"cwd: must begin with '/', not {value.cwd!r}")
    spec = Spec(
        argv=list(value.argv) or None,
        command=value.command or None,
        script=script,
        interpreter=value.interpreter or None,
        args=list(value.args),
        parameters=dict(value.parameters),
        env=dict(value.env),
        cwd=value.cwd or None,
        run_as=value.run_as or None,
        umask=value.umask,
        stdin_file=STDIN if value.stdin else None,
        timeout_ms=value.timeout_ms,
        grace_ms=value.grace_ms,
        max_output=value.max_output,
        detach=value.detach,
        success_codes=list(value.success_codes) or [0],
    )
    return Order(spec, value.stdin)


def message(of: out.Message, read: Read) -> pb.CommandMessage:
    """Build the message for an effect.

    Args:
        of: The effect.
        read: Returns head and tail of an output stream from the spool; its OSError is passed on.
    """
    match of:
        case out.Accepted():
            return pb.CommandMessage(accepted=pb.Accepted(*of.key))
        case out.Rejected():
            return pb.CommandMessage(rejected=pb.Rejected(*of.key, of.reason, of.message))
        case out.Started():
            return pb.CommandMessage(started=pb.Started(*of.key, of.pid, of.started_at_ms))
        case out.Result():
            return pb.CommandMessage(command_result=result(of.key, of.report, read if of.stored else _nothing))


def result(key: Key, report: Report, read: Read) -> pb.CommandResult:
    """Build the result message."""
    usage, kill = report.usage, report.kill
    value = pb.CommandResult(
        command_id=key[0],
        attempt=key[1],
        outcome=pb.Outcome(int(report.outcome)),
        exit_code=report.exit_code,
        signal=report.signal,
        error_code=report.error_code,
        error_message=report.error_message,
        started_at_ms=report.started_at_ms,
        finished_at_ms=report.finished_at_ms,
        duration_us=report.duration_us,
        stdout=pb.OutputDigest(*read(key, "stdout", report.stdout), report.stdout.total_bytes, report.stdout.sha256),
        stderr=pb.OutputDigest(*read(key, "stderr", report.stderr), report.stderr.total_bytes, report.stderr.sha256),
        pipe_held=report.pipe_held,
        leftovers_killed=report.leftovers_killed,
        left_running=report.left_running,
        observed=report.observed,
    )
    if usage:
        value.usage = pb.Usage(usage.user_us, usage.system_us, usage.max_rss_kb)
    if kill:
        value.kill = pb.KillReport(kill.reason, kill.term_at_ms, kill.kill_at_ms, kill.tree_empty)
    return value


def key_of(value: Any) -> Key:
    """Return the execution that a message is about.

    Raises:
        Unusable: The id is not a UUID or the attempt is out of range. The id becomes the name of a directory, so no
            other form is accepted.
    """
    if not is_id(value.command_id) or not 1 <= value.attempt <= MAX_ATTEMPT:
        raise Unusable(
            f"command_id {value.command_id[:64]!r}, attempt {value.attempt}: must be a UUID in lower case and "
            f"at least 1"
        )
    return value.command_id, value.attempt


def _texts(value: pb.CommandContent) -> list[tuple[str, str]]:
    named = [
        ("command", value.command),
        ("interpreter", value.interpreter),
        ("cwd", value.cwd),
        ("run_as", value.run_as),
    ]
    named += [("argv", text) for text in value.argv] + [("args", text) for text in value.args]
    named += [("env", text) for pair in value.env.items() for text in pair]
    return named + [("parameters", text) for pair in value.parameters.items() for text in pair]


def _nothing(key: Key, stream: str, digest: Digest) -> tuple[bytes, bytes]:
    return b"", b""
