"""Interpretation of commands by simulated hosts."""

from __future__ import annotations

from hashlib import sha256

import pytest

from loadtest.swarm.commands import KEPT_HEAD, KEPT_TAIL, digest_of, kept, plan, words_of


@pytest.mark.parametrize(
    ("command", "output"),
    [
        ("echo hello  world", "hello world\n"),
        ("echo 'two  spaces'", "two  spaces\n"),
        ("echo on {host}", "on sim-1\n"),
        ("echo", "\n"),
        ("uname -a", "uname -a\n"),
        ("sleep long", "sleep long\n"),
        ("exit 256", "exit 256\n"),
        ("echo 'unfinished", "'unfinished\n"),
    ],
)
def test_the_output_follows_from_the_command(command: str, output: str) -> None:
    one = plan(words_of(command, ()))
    assert one.stdout("id", "sim-1", "c").decode() == output
    assert (one.seconds, one.exit_code) == (0, 0)


def test_argv_is_printed_unchanged() -> None:
    assert words_of("", ["echo", "a b"]) == ["echo", "a b"]
    assert words_of("", (), "echo x", ["y"]) == ["echo", "x", "y"]


def test_sleep_and_exit_print_nothing() -> None:
    assert (plan(["sleep", "0.5"]).seconds, plan(["sleep", "0.5"]).stdout("i", "h", "c")) == (0.5, b"")
    assert (plan(["exit", "7"]).exit_code, plan(["exit", "7"]).digest("i", "h", "c")) == (7, b"")


def test_mixed_outputs_repeat_three_answers() -> None:
    one = plan(["mixed", "10"])
    each = [one.on(index) for index in range(1_000)]
    assert {(host.text, host.exit_code) for host in each} == {("odd one out\n", 3), ("rare\n", 0), ("common\n", 0)}
    assert [sum(host.text == text for host in each) for text in ("odd one out\n", "rare\n")] == [143, 17]
    assert sorted(round(host.seconds, 2) for host in each) == [round((index + 1) / 100, 2) for index in range(1_000)]
    assert each[7].digest("i", "h", "c") == digest_of(b"odd one out\n") and each[0] == one.on(0)
    assert plan(["sleep", "1"]).on(7) == plan(["sleep", "1"])


def test_an_output_of_a_given_size_depends_on_host_and_command() -> None:
    one = plan(["output", "1000"])
    outputs = {one.stdout(host, host, command) for host in ("a", "b") for command in ("x", "y")}
    assert len(outputs) == 4
    assert {len(output) for output in outputs} == {1000}
    assert one.stdout("a", "a", "x") == one.stdout("a", "a", "x")


@pytest.mark.parametrize("size", [0, KEPT_HEAD, KEPT_HEAD + 1, KEPT_HEAD + KEPT_TAIL, KEPT_HEAD + KEPT_TAIL + 1, 10**6])
def test_head_and_tail_equal_those_of_an_agent(size: int) -> None:
    output = sha256(b"x").digest() * (size // 32 + 1)
    head, tail = kept(output[:size])
    assert head == output[: min(size, KEPT_HEAD)]
    assert tail == output[max(KEPT_HEAD, size - KEPT_TAIL) : size]


def test_answer_and_delay_follow_from_the_name_of_the_host() -> None:
    one = plan(["among", "3", "20"])
    names = [f"sim-{number}" for number in range(300)]
    answers = {name: one.stdout("id", name, "c") for name in names}
    assert set(answers.values()) == {b"answer 1 of 3\n", b"answer 2 of 3\n", b"answer 3 of 3\n"}
    pauses = sorted(one.pause(name) for name in names)
    assert 0 <= pauses[0] < 1 and 19 < pauses[-1] < 20 and 8 < pauses[150] < 12
    assert one.pause("sim-1") == plan(["among", "3", "20"]).pause("sim-1")
    assert plan(["sleep", "2"]).pause("any") == 2 and plan(["among", "0", "1"]).stdout("i", "h", "c") == b"among 0 1\n"
