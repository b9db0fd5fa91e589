"""Commands that run to their end: their environment and their reports."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import pytest

SHOW = ["python3", "-c", "import json,os,sys; print(json.dumps([sys.argv[1:], dict(os.environ), os.getcwd()]))"]


async def test_a_program_that_succeeds_is_completed_and_its_output_is_kept(shims: Any) -> None:
    ended = await shims.run(argv=["sh", "-c", "echo out; echo err >&2"])
    final = ended.exit
    assert (final.outcome, final.exit_code, final.signal, final.error_code, final.error_message) == (
        "completed",
        0,
        None,
        "",
        "",
    )
    assert (ended.stdout, ended.stderr) == (b"out\n", b"err\n")
    assert final.stdout.sha256 == sha256(b"out\n").hexdigest()
    assert final.kill is None
    assert (final.pipe_held, final.leftovers_killed) == (False, 0)
    assert final.finished_at_ms >= final.started_at_ms > 1_600_000_000_000
    assert 0 < final.duration_us < 60_000_000


@pytest.mark.capability("H5")
async def test_another_exit_code_fails_and_is_reported(shims: Any) -> None:
    final = (await shims.run(command="exit 3")).exit
    assert (final.outcome, final.exit_code, final.signal, final.error_code) == ("failed", 3, None, "exit_nonzero")
    assert "3" in final.error_message


@pytest.mark.capability("H4")
async def test_the_success_codes_decide_between_completed_and_failed(shims: Any) -> None:
    assert (await shims.run(command="exit 3", success_codes=[0, 3])).exit.outcome == "completed"
    assert (await shims.run(command="exit 0", success_codes=[3])).exit.error_code == "exit_nonzero"


@pytest.mark.capability("H5")
async def test_a_signal_from_another_process_is_named(shims: Any) -> None:
    final = (await shims.run(command="kill -SEGV $$")).exit
    assert (final.outcome, final.exit_code, final.signal, final.error_code) == ("failed", None, 11, "signaled")
    assert "SIGSEGV" in final.error_message


async def test_arguments_arrive_exactly(shims: Any) -> None:
    args = ["a b", "it's", '"q"', "$HOME `id` $(id)", "new\nline", "", "*", "-x", "é\u20ac"]
    assert json.loads((await shims.run(argv=[*SHOW, *args])).stdout)[0] == args
    text = f'exec python3 -c "{SHOW[2]}" "$@"'
    assert json.loads((await shims.run(command=text, args=args)).stdout)[0] == args


async def test_parameters_and_env_reach_the_process_as_environment_only(shims: Any) -> None:
    nasty = '\'; touch /tmp/never; echo "$(id)"\n'
    ended = await shims.run(
        command='printf %s "$P_name"; cat /proc/$$/cmdline >&2', parameters={"name": nasty}, env={"LANG": "C"}
    )
    assert ended.stdout.decode() == nasty
    assert b"touch" not in ended.stderr


async def test_the_environment_is_small_and_clean(shims: Any) -> None:
    ended = await shims.run(argv=SHOW, env={"MINE": "1", "CLARION_EXECUTION": "forged"}, parameters={"x": "2"})
    _, environment, cwd = json.loads(ended.stdout)
    command_id, attempt = ended.directory.name.split(".")
    environment.pop("LC_CTYPE", None)  # python's own
    assert set(environment) == {
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "MINE", "P_x"),
        *("CLARION_COMMAND_ID", "CLARION_ATTEMPT", "CLARION_EXECUTION", "CLARION_RUN"),
    }
    assert environment["CLARION_COMMAND_ID"] == command_id
    assert environment["CLARION_ATTEMPT"] == attempt
    assert environment["CLARION_EXECUTION"] == ended.directory.name
    assert cwd == "/"


async def test_stdin_is_the_given_file_or_empty(shims: Any) -> None:
    data = bytes(range(256)) * 1000
    assert (await shims.run(argv=["cat"], stdin=data)).stdout == data
    assert (await shims.run(argv=["cat"])).stdout == b""


async def test_cwd_and_umask_are_set_as_requested(shims: Any) -> None:
    assert (await shims.run(command="pwd; umask", cwd="/usr", umask=0o027)).stdout == b"/usr\n0027\n"
    assert (await shims.run(command="umask")).stdout == b"0022\n"


async def test_a_command_inherits_no_descriptor_signal_or_terminal_of_the_agent(shims: Any) -> None:
    # ls itself opens the directory, as 3
    assert (await shims.run(argv=["ls", "/proc/self/fd"])).stdout == b"0\n1\n2\n3\n"
    ended = await shims.run(argv=["cat", "/proc/self/status"])
    signals = dict(line.split(":\t") for line in ended.stdout.decode().splitlines() if line.startswith("Sig"))
    assert int(signals["SigBlk"], 16) == 0
    # glibc keeps signals 32 and 33 to itself, so that nobody can reset them; some supervisors leave them ignored.
    assert int(signals["SigIgn"], 16) & ~(0b11 << 31) == 0
    ended = await shims.run(argv=["cat", "/proc/self/stat"])
    pid, _, _, _, group, session, terminal = ended.stdout.decode().split()[:7]
    assert pid == group == session
    assert terminal == "0"


@pytest.mark.capability("P4")
async def test_resource_usage_is_that_of_the_command(shims: Any) -> None:
    code = "x = bytearray(60_000_000)\nimport time\nwhile time.process_time() < 0.3: pass"
    usage = (await shims.run(argv=["python3", "-c", code])).exit.usage
    assert 200_000 < usage.user_us + usage.system_us < 5_000_000
    assert 58_000 < usage.max_rss_kb < 200_000


async def test_a_damaged_spec_is_refused_with_the_field_named(shims: Any) -> None:
    directory = shims.directory(argv=["true"])
    (directory / "spec.json").write_text('{"argv": ["true"], "timeout_ms": "soon"}')
    final = (await shims.end(directory, await shims.forks.spawn(directory))).exit
    assert (final.outcome, final.error_code) == ("failed", "invalid_spec")
    assert "timeout_ms" in final.error_message
