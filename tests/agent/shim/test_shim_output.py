"""Output is bytes: exact, counted and hashed completely, whatever part of it is kept."""

from __future__ import annotations

import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import trio

from agent.shim import records, report
from agent.shim.client import request_stop
from agent.shim.system import linux

GIGABYTE_SHA256 = "83e457254beb631d1ebfcc2304a82d05d475da135b07e92af412c483bdfd6e78"
"""Digest of `yes 0123456789abcde | head -c 1000000000` by sha256sum."""


def peak_kilobytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return max([0, *(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))])


@pytest.mark.capability("I18")
async def test_output_is_stored_exactly(shims: Any) -> None:
    data = bytes(range(256)) * 50 + b"\xff\xfe\x00\x1b[31mred\x1b[0m\r\nno newline at the end"
    ended = await shims.run(command="tee /dev/stderr", stdin=data)
    assert (ended.stdout, ended.stderr) == (data, data)
    assert ended.exit.stdout.sha256 == ended.exit.stderr.sha256 == sha256(data).hexdigest()


async def test_a_long_stream_keeps_head_tail_and_exact_counts(shims: Any) -> None:
    data = b"".join(b"%09d\n" % number for number in range(20_000))
    ended = await shims.run(command="cat; cat >&2 /dev/null", stdin=data, head_bytes=1_000, tail_bytes=500)
    report = ended.exit.stdout
    assert (report.total_bytes, report.sha256) == (len(data), sha256(data).hexdigest())
    assert ended.stdout == data[:1_000] + data[-500:]


async def test_a_limit_of_zero_keeps_no_output(shims: Any) -> None:
    ended = await shims.run(command="echo text", head_bytes=0, tail_bytes=0)
    assert ended.stdout == b""
    assert (ended.exit.stdout.total_bytes, ended.exit.stdout.sha256) == (5, sha256(b"text\n").hexdigest())


async def test_the_head_can_be_read_while_the_command_runs(shims: Any, wait_until: Any) -> None:
    directory, ref = await shims.start(command=f"echo first; {shims.sleep}", timeout_ms=20_000)
    await wait_until(
        lambda: (directory / "stdout.head").exists() and (directory / "stdout.head").read_bytes() == b"first\n",
        "the head is there",
    )
    request_stop(ref, directory, "canceled")
    await shims.end(directory, ref)


@pytest.mark.capability("O8", "F19")
async def test_a_gigabyte_passes_in_constant_memory(shims: Any) -> None:
    size = 1_000_000_000
    started = time.monotonic()
    directory, ref = await shims.start(command=f"yes 0123456789abcde | head -c {size}")
    peak = 0
    while records.read_exit(directory) is None:
        peak = max(peak, peak_kilobytes(ref.pid))
        await trio.sleep(0.1)
    ended = await shims.end(directory, ref)
    seconds = time.monotonic() - started
    assert (ended.exit.stdout.total_bytes, ended.exit.stdout.sha256) == (size, GIGABYTE_SHA256)
    assert len(ended.stdout) == 2 * 262_144
    print(f"{size / seconds / 1e6:.0f} MB/s, peak {peak} KB")
    assert 0 < peak < 60_000


@pytest.mark.capability("O10")
async def test_more_output_than_allowed_ends_the_command(both: Any) -> None:
    ended = await both.run(command=f"{both.sleep} & yes", max_output=100_000)
    final = ended.exit
    assert (final.outcome, final.error_code, final.kill.reason, final.kill.tree_empty) == (
        "failed",
        "output_limit",
        "output_limit",
        True,
    )
    assert final.stdout.total_bytes > 100_000
    assert "100000" in final.error_message


async def test_the_limit_counts_both_streams(shims: Any) -> None:
    spec = {"command": f"head -c 600 /dev/zero; head -c 600 /dev/zero >&2; exec {shims.sleep}"}
    assert (await shims.run(**spec, max_output=1_100, timeout_ms=20_000)).exit.error_code == "output_limit"
    assert (await shims.run(**spec, max_output=1_200, timeout_ms=300)).exit.error_code == "timed_out"


OVER = ("failed", "output_limit", "it wrote more than 1000 bytes")
WITHIN = ("completed", "", "")


@pytest.mark.parametrize(
    ("command", "verdict"),
    [
        ("seq 1 20000", OVER),
        ("head -c 1001 /dev/zero", OVER),
        ("head -c 1000 /dev/zero", WITHIN),
        ("head -c 500 /dev/zero; head -c 500 /dev/zero >&2", WITHIN),
        ("head -c 500 /dev/zero; head -c 501 /dev/zero >&2", OVER),
        ("(sleep 0.02; head -c 1001 /dev/zero) & exit 0", OVER),
        ("(sleep 0.02; head -c 1000 /dev/zero) & exit 0", WITHIN),
        ("head -c 1001 /dev/zero; exit 3", OVER),
        ("head -c 1001 /dev/zero; kill -9 $$", OVER),
    ],
)
async def test_the_same_command_gets_the_same_verdict_each_time(
    shims: Any, command: str, verdict: tuple[str, str, str]
) -> None:
    """The exact count decides about the limit, whether it is noticed before or after the command has ended by
    itself.
    """
    for _ in range(12):
        final = (await shims.run(command=command, max_output=1_000)).exit
        assert (final.outcome, final.error_code, final.error_message) == verdict


async def test_another_reason_for_the_end_is_kept_despite_too_much_output(shims: Any) -> None:
    final = (
        await shims.run(
            argv=["sh", "-c", f"trap 'head -c 2000 /dev/zero; exit 0' TERM; {shims.sleep} & wait"],
            max_output=1_000,
            timeout_ms=200,
        )
    ).exit
    assert (final.outcome, final.error_code) == ("timeout", "timed_out") and final.stdout.total_bytes == 2_000


def test_a_command_that_could_not_start_has_no_output() -> None:
    spec = records.Spec(argv=["true"], max_output=1)
    assert report.ending(spec, None, 0, "program: no", 0).error_code == "spawn_failed"
    assert report.ending(spec, None, 3 << 8, "", 2).exit_code == 3


@pytest.mark.capability("F20")
async def test_a_grandchild_that_holds_the_pipe_does_not_hold_the_result(both: Any) -> None:
    started = linux.boottime_ns()
    ended = await both.run(command=f"{both.sleep} & echo hi", drain_ms=300)
    lasted_us = (linux.boottime_ns() - started) // 1000
    assert 300_000 <= lasted_us < 10_000_000
    assert (ended.exit.outcome, ended.stdout, ended.exit.pipe_held, ended.exit.leftovers_killed) == (
        "completed",
        b"hi\n",
        True,
        1,
    )
    # The command itself was done long before.
    assert ended.exit.duration_us <= lasted_us - 300_000


async def test_output_of_a_child_during_the_drain_is_kept(shims: Any) -> None:
    ended = await shims.run(command="(sleep 0.3; echo late) & echo early", drain_ms=10_000)
    assert (ended.stdout, ended.exit.pipe_held, ended.exit.leftovers_killed) == (b"early\nlate\n", False, 0)


@pytest.mark.capability("F19")
async def test_a_million_lines_on_both_streams_are_counted(shims: Any) -> None:
    ended = await shims.run(command="seq 500000 & seq 500000 >&2; wait")
    expected = sum(len(str(number)) + 1 for number in range(1, 500_001))
    assert ended.exit.stdout.total_bytes == ended.exit.stderr.total_bytes == expected
    assert ended.exit.stdout.sha256 == ended.exit.stderr.sha256
