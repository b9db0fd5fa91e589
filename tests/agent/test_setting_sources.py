"""Where settings come from if nothing is named, and variables of other programs that begin like ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent import settings
from agent.errors import BadSettings, NoState
from agent.main import _state, cli
from agent.settings import ignored_variables, load
from tests.agent.process import run_agent

KUBERNETES = {
    "CLARION_AGENT_PORT": "tcp://10.0.0.1:8441",
    "CLARION_AGENT_SERVICE_HOST": "10.0.0.1",
    "CLARION_AGENT_SERVICE_PORT": "8441",
    "CLARION_AGENT_PORT_8441_TCP": "tcp://10.0.0.1:8441",
    "CLARION_AGENT_PORT_8441_TCP_ADDR": "10.0.0.1",
    "CLARION_AGENT_PORT_8441_TCP_PROTO": "tcp",
}
"""Variables that Kubernetes sets in every container if there is a service named clarion-agent."""


@pytest.fixture
def default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "etc" / "agent.toml"
    path.parent.mkdir()
    monkeypatch.setattr(settings, "DEFAULT_CONFIG", path)
    return path


def test_the_default_file_is_read_if_it_exists(default: Path, tmp_path: Path) -> None:
    assert load(None, {}, {}).slots == 16
    default.write_text("slots = 2\n")
    assert load(None, {}, {}).slots == 2
    named, given = tmp_path / "named.toml", tmp_path / "given.toml"
    named.write_text("slots = 3\n")
    given.write_text("slots = 4\n")
    variable = {settings.CONFIG_VARIABLE: str(named)}
    assert load(None, variable, {}).slots == 3
    assert load(given, variable, {}).slots == 4
    assert load(None, {settings.CONFIG_VARIABLE: "", "CLARION_AGENT_SLOTS": "5"}, {}).slots == 5


@pytest.mark.parametrize("kind", ["directory", "dangling link", "binary"])
def test_a_default_file_that_cannot_be_used_is_an_error(default: Path, kind: str) -> None:
    if kind == "directory":
        default.mkdir()
    elif kind == "dangling link":
        default.symlink_to(default.parent / "nowhere")
    else:
        default.write_bytes(b"\xff\xfe")
    with pytest.raises(BadSettings, match=str(default)):
        load(None, {}, {})


def test_a_named_file_must_exist(default: Path, tmp_path: Path) -> None:
    for environment, given in (({settings.CONFIG_VARIABLE: str(tmp_path / "no")}, None), ({}, tmp_path / "no")):
        with pytest.raises(BadSettings, match="No such file"):
            load(given, environment, {})


def test_variables_of_a_container_platform_are_ignored_and_listed() -> None:
    environment = {**KUBERNETES, "CLARION_AGENT_SLOTS": "3", "CLARION_AGENT_VERSION": "1", "OTHER": "x"}
    assert load(None, environment, {}).slots == 3
    assert ignored_variables(environment) == sorted([*KUBERNETES, "CLARION_AGENT_VERSION"])


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("CLARION_AGENT_SLOT", "slots"),
        ("CLARION_AGENT_HOST_NAME", "hostname"),
        ("CLARION_AGENT_LOGLEVEL", "log_level"),
        ("CLARION_AGENT_LABEL", "labels"),
        ("CLARION_AGENT_POLICYFILE", "policy_file"),
    ],
)
def test_a_misspelt_variable_is_still_an_error(variable: str, meant: str) -> None:
    with pytest.raises(BadSettings, match=rf"{variable} \(environment\): .* did you mean {meant}\?"):
        load(None, {variable: "1"}, {})
    assert ignored_variables({variable: "1"}) == []


def test_join_and_status_use_the_state_directory_of_run(
    default: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLARION_AGENT_STATE", raising=False)
    assert _state(None) == Path("/var/lib/clarion-agent")
    default.write_text(f'state = "{tmp_path}/of-the-file"\n')
    assert _state(None) == tmp_path / "of-the-file"
    monkeypatch.setenv("CLARION_AGENT_STATE", f"{tmp_path}/of-the-variable")
    assert _state(None) == tmp_path / "of-the-variable"
    assert _state(tmp_path / "given") == tmp_path / "given"
    assert {"join", "status", "run"} <= set(cli.commands)


def test_status_reads_the_variable(tmp_path: Path) -> None:
    done = run_agent("status", CLARION_AGENT_STATE=str(tmp_path / "here"))
    assert done.returncode == NoState.exit_code and f"{tmp_path}/here" in done.stderr
    wrong = run_agent("status", CLARION_AGENT_SLOTS="many")
    assert wrong.returncode == BadSettings.exit_code and "CLARION_AGENT_SLOTS" in wrong.stderr
