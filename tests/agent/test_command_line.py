"""`clarion-agent` from outside: exit codes, errors with field and remedy, and the status output."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from agent import __version__
from agent.errors import AgentError, BadSettings, JoinFailed, NoState, StateInUse, StateUnusable, TokenUnreadable
from agent.storage.lock import hold
from tests.agent.peer import peer
from tests.agent.process import ROOT, TOKEN, agent, run_agent


@pytest.fixture
def token(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text(TOKEN)
    return tmp_path / "token"


def test_a_bad_address_is_named(token: Path, tmp_path: Path) -> None:
    done = run_agent("run", "--server", "nowhere", "--token-file", str(token), "--state", str(tmp_path / "s"))
    assert done.returncode == BadSettings.exit_code
    assert "server (flag): must be HOST:PORT" in done.stderr and "what to do:" in done.stderr
    assert not (tmp_path / "s").exists()


def test_an_unreadable_token_file_is_named(tmp_path: Path) -> None:
    done = run_agent(
        "run", "--insecure-loopback", "--token-file", str(tmp_path / "none"), "--state", str(tmp_path / "s")
    )
    assert done.returncode == TokenUnreadable.exit_code
    assert f"token_file {tmp_path}/none: No such file" in done.stderr and "join token" in done.stderr


def test_a_state_directory_in_use_is_refused(token: Path, tmp_path: Path) -> None:
    with hold(tmp_path / "s"):
        done = run_agent("run", "--insecure-loopback", "--token-file", str(token), "--state", str(tmp_path / "s"))
    assert done.returncode == StateInUse.exit_code
    assert "in use by another agent (pid" in done.stderr and "--state" in done.stderr


def test_a_state_directory_that_cannot_be_created_is_refused(token: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run_agent("run", "--insecure-loopback", "--token-file", str(token), "--state", str(tmp_path / "file" / "s"))
    assert done.returncode == StateUnusable.exit_code and "state directory" in done.stderr


def test_a_damaged_host_id_is_not_replaced_silently(token: Path, tmp_path: Path) -> None:
    state = tmp_path / "s"
    state.mkdir()
    (state / "host_id").write_text("scribble\n")
    done = run_agent(
        "run", "--insecure-loopback", "--token-file", str(token), "--state", str(state), CLARION_AGENT_RESERVE_BYTES="0"
    )
    assert done.returncode == StateUnusable.exit_code and "holds no host id" in done.stderr
    assert (state / "host_id").read_text() == "scribble\n"


def test_a_policy_writable_by_others_is_refused(token: Path, tmp_path: Path) -> None:
    rules = tmp_path / "policy.toml"
    rules.write_text("shell = false\n")
    rules.chmod(0o666)
    done = run_agent(
        "run",
        "--insecure-loopback",
        "--token-file",
        str(token),
        "--state",
        str(tmp_path / "s"),
        "--policy-file",
        str(rules),
    )
    assert done.returncode == BadSettings.exit_code and "may change it" in done.stderr and "chmod" in done.stderr


def test_an_agent_that_has_not_joined_names_the_command_to_join(tmp_path: Path) -> None:
    done = run_agent("run", "--state", str(tmp_path / "s"))
    assert done.returncode == 77 and "has not joined" in done.stderr and "clarion-agent join" in done.stderr
    assert not (tmp_path / "s").exists()


def test_plaintext_to_another_machine_is_refused(token: Path, tmp_path: Path) -> None:
    done = run_agent(
        "run",
        "--insecure-loopback",
        "--server",
        "10.0.0.1:8441",
        "--token-file",
        str(token),
        "--state",
        str(tmp_path / "s"),
    )
    assert (
        done.returncode == BadSettings.exit_code
        and "the server must be on this machine, because there is no TLS" in done.stderr
    )


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"--server": "::1:8442"}, "--server: must be HOST:PORT"),
        ({"--ca-pin": "sha256:12"}, "--ca-pin: must be sha256:"),
        ({"--token-file": "none"}, "token_file none: No such file"),
    ],
)
def test_an_impossible_join_is_refused_before_any_file_is_created(
    wrong: dict[str, str], said: str, token: Path, tmp_path: Path
) -> None:
    flags = {
        "--server": "127.0.0.1:9",
        "--token-file": str(token),
        "--ca-pin": f"sha256:{'0' * 64}",
        "--state": str(tmp_path / "s"),
        **wrong,
    }
    done = run_agent("join", *(part for pair in flags.items() for part in pair))
    assert done.returncode in (77, 78) and said in done.stderr and not (tmp_path / "s").exists()


def test_a_join_without_an_answer_reports_it_and_leaves_no_file(token: Path, tmp_path: Path) -> None:
    done = run_agent(
        "join",
        "--server",
        "127.0.0.1:9",
        "--token-file",
        str(token),
        "--ca-pin",
        f"sha256:{'0' * 64}",
        "--state",
        str(tmp_path / "s"),
    )
    assert done.returncode == JoinFailed.exit_code and "127.0.0.1:9" in done.stderr and "8442" in done.stderr
    assert [path.name for path in (tmp_path / "s").iterdir()] == ["lock"]


def test_a_wrong_flag_is_wrong_usage() -> None:
    assert run_agent("run", "--nonsense").returncode == 2


def test_status_without_a_journal_reports_that(tmp_path: Path) -> None:
    done = run_agent("status", "--state", str(tmp_path))
    assert done.returncode == NoState.exit_code and "it contains no agent journal" in done.stderr


async def test_status_shows_the_content_of_the_journal(tmp_path: Path) -> None:
    async with peer(TOKEN) as server, agent(tmp_path, server.port) as process:
        hello = await server.welcomed(1)
        command = await server.dispatch(command="exit 4")
        await server.result(command)
        found = json.loads(run_agent("status", "--json", "--state", str(process.state)).stdout)
        assert process.process is not None
        assert (found["agent_running"], found["agent_pid"]) == (True, process.process.pid)
        assert (found["host_id"], found["journal_id"]) == (hello.host_id, hello.journal_id)
        [execution] = found["executions"]
        assert execution == {
            "command_id": command,
            "attempt": 1,
            "seq": 1,
            "stage": "done",
            "outcome": "failed",
            "reason": "exit_nonzero",
            "exit_code": 4,
        }
        text = run_agent("status", "--state", str(process.state)).stdout
        assert command in text and "1 done" in text and "running, pid" in text
        await process.terminate()
        assert "not running" in run_agent("status", "--state", str(process.state)).stdout


def test_the_version_is_that_of_the_package() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == __version__
    assert __version__ in run_agent("--version").stdout


def test_every_error_has_its_own_exit_code() -> None:
    kinds = [BadSettings, JoinFailed, NoState, StateInUse, StateUnusable, TokenUnreadable, AgentError]
    assert len({kind.exit_code for kind in kinds}) == len(kinds)
    help_text = run_agent("--help").stdout
    assert all(str(kind.exit_code) in help_text for kind in kinds)
