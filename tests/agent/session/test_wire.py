"""Messages of the server are checked field by field; messages of the agent are complete."""

from __future__ import annotations

from typing import Any

import pytest

from agent.core import effects as out
from agent.core import events as ev
from agent.core.model import Stage
from agent.enrolment.facts import Facts
from agent.policy import Policy
from agent.session import wire
from proto.messages import Cancel, CommandContent, CommandMessage, Heartbeat, Outcome, Verdict, Welcome, decode, kind_of
from tests.agent.conftest import REPORT

COMMAND = "11111111-2222-4333-8444-55555555abcd"


def dispatch(**fields: Any) -> ev.Dispatch:
    content = CommandContent(**{"command_id": COMMAND, "attempt": 1, "seq": 1, "session": 1, **fields})
    found = wire.event(decode(bytes(CommandMessage(command_content=content))), Policy().refusal)
    assert isinstance(found, ev.Dispatch)
    return found


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({}, "argv"),
        ({"argv": ["x"], "command": "y"}, "exactly one"),
        ({"argv": ["x"], "seq": 0}, "seq"),
        ({"argv": ["x"], "args": ["y"]}, "args"),
        ({"script": b"\xff"}, "script"),
        ({"command": "x", "interpreter": "sh"}, "interpreter"),
        ({"argv": ["a\0b"]}, "argv"),
        ({"command": "x", "cwd": "relative"}, "cwd"),
        ({"command": "x", "env": {"A=B": "c"}}, "env"),
        ({"command": "x", "parameters": {"n": "a\0"}}, "parameters"),
        ({"command": "x", "umask": 0o1000}, "umask"),
    ],
)
def test_an_impossible_request_is_rejected_with_the_field_named(fields: dict[str, Any], names: str) -> None:
    refusal = dispatch(**fields).refusal
    assert refusal is not None and refusal.reason == "invalid_spec" and names in refusal.message


def test_all_fields_of_a_command_arrive() -> None:
    found = dispatch(
        script=b"echo", interpreter="/bin/sh -e", args=["1"], parameters={"p": "v"}, env={"E": "w"}, cwd="/tmp", run_as="root",  # noqa: E501
        umask=0o27, stdin=b"in", timeout_ms=1, grace_ms=2, start_within_ms=3, max_output=4, detach=True, success_codes=[0, 3], seq=9,  # noqa: E501
    )  # fmt: skip
    order = found.spec
    assert isinstance(order, wire.Order) and found.refusal is None
    spec = order.spec
    assert (found.seq, found.start_within_ms, order.stdin, spec.stdin_file) == (9, 3, b"in", "stdin")
    assert (spec.script, spec.interpreter, spec.args, spec.parameters, spec.env) == (
        "echo",
        "/bin/sh -e",
        ["1"],
        {"p": "v"},
        {"E": "w"},
    )
    assert (spec.cwd, spec.run_as, spec.umask, spec.timeout_ms, spec.grace_ms) == ("/tmp", "root", 0o27, 1, 2)
    assert (spec.max_output, spec.detach, spec.success_codes) == (4, True, [0, 3])
    assert dispatch(argv=["x"]).digest != dispatch(argv=["y"]).digest and found.size >= 4 * 262_144


@pytest.mark.parametrize("bad", ["", "../x", COMMAND.upper(), COMMAND + "x", COMMAND[:-1] + "/"])
def test_only_a_uuid_is_a_command_id(bad: str) -> None:
    with pytest.raises(wire.Unusable):
        wire.event(CommandMessage(command_content=CommandContent(command_id=bad, attempt=1)), Policy().refusal)
    with pytest.raises(wire.Unusable):
        wire.event(CommandMessage(cancel=Cancel(bad, 1)), Policy().refusal)
    with pytest.raises(wire.Unusable):
        wire.welcome(Welcome(verdicts=[Verdict(bad, 1)]))


def test_an_unknown_cancel_reason_means_canceled_and_an_unknown_decision_means_keep() -> None:
    found = wire.event(CommandMessage(cancel=Cancel(COMMAND, 1, 4, "j", "because", 2)), Policy().refusal)
    assert found == ev.Cancel((COMMAND, 1), 4, 2, "j", "canceled")
    assert wire.welcome(decode_welcome(Verdict(COMMAND, 1, 77))).verdicts == [
        ev.Verdict((COMMAND, 1), ev.Decision.KEEP)
    ]  # type: ignore[arg-type]
    assert wire.event(CommandMessage(heartbeat=Heartbeat(1)), Policy().refusal) is None


def decode_welcome(verdict: Verdict) -> Welcome:
    _, value = kind_of(decode(bytes(CommandMessage(welcome=Welcome(verdicts=[verdict])))))
    assert isinstance(value, Welcome)
    return value


def test_a_result_contains_everything_in_the_journal() -> None:
    made = wire.message(
        out.Result((COMMAND, 1), REPORT, stored=True), lambda key, stream, digest: (stream.encode()[:5], b"")
    )
    _, value = kind_of(decode(bytes(made)))
    assert (value.outcome, value.exit_code, value.error_code) == (Outcome.FAILED, 3, "exit_nonzero")
    assert (value.stdout.head, value.stdout.total_bytes, value.stdout.sha256) == (b"stdou", 5, b"\x01" * 32)
    assert (value.usage.user_us, value.usage.max_rss_kb, value.kill.reason, value.kill.tree_empty) == (
        1,
        3,
        "canceled",
        True,
    )
    assert (value.started_at_ms, value.finished_at_ms, value.duration_us) == (1_000, 2_000, 1_000_000)


def test_a_result_without_its_output_keeps_the_counts() -> None:
    def never(*args: object) -> tuple[bytes, bytes]:
        raise AssertionError("nothing may be read for it")

    _, value = kind_of(wire.message(out.Result((COMMAND, 1), REPORT, stored=False), never))
    assert (value.stdout.head, value.stdout.total_bytes) == (b"", 5)


def test_a_hello_lists_the_held_executions() -> None:
    held = out.Hello("j", 7, 3, [out.Entry((COMMAND, 2), 5, Stage.DONE, REPORT.outcome)])
    made = wire.hello("h", "b", held, Facts("n", "1.2.3.4", "os", "arch", "0", {"k": "v"}), 4)
    _, value = kind_of(decode(bytes(made)))
    assert (value.host_id, value.journal_id, value.boot_id, value.max_seq, value.max_epoch, value.slots) == (
        "h",
        "j",
        "b",
        7,
        3,
        4,
    )
    [entry] = value.entries
    assert (entry.command_id, entry.attempt, entry.seq, int(entry.stage), int(entry.outcome)) == (COMMAND, 2, 5, 3, 2)
    assert value.facts.labels == {"k": "v"} and value.protocol == 1
