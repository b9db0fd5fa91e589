"""The host's policy and its id."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.errors import BadSettings, StateUnusable
from agent.identity import host_id
from agent.policy import Policy, load
from agent.shim.records import Spec
from proto.ids import is_id, uuid7


def test_without_a_policy_file_everything_is_allowed() -> None:
    policy = load(None)
    assert policy.refusal(Spec(command="true")) is None
    assert policy.refusal(Spec(argv=["true"], run_as="nobody")) is None or os.geteuid() != 0


@pytest.mark.parametrize("spec", [Spec(command="x"), Spec(script="x")])
def test_a_policy_without_shell_allows_only_argv(spec: Spec) -> None:
    refusal = Policy(shell=False).refusal(spec)
    assert refusal is not None and refusal.reason == "refused"
    assert Policy(shell=False).refusal(Spec(argv=["x"])) is None


@pytest.mark.capability("X1")
def test_users_that_are_not_listed_are_refused_including_the_agents_own() -> None:
    policy = Policy(run_as=["nobody"])
    for spec in (Spec(argv=["x"], run_as="daemon"), Spec(argv=["x"])):
        refusal = policy.refusal(spec)
        assert refusal is not None and "does not allow" in refusal.message
    assert Policy(run_as=["root"]).refusal(Spec(argv=["x"], run_as="root")) is None or os.geteuid() != 0


@pytest.mark.parametrize("text", ["shel = false", 'run_as = "root"', "shell = 1", "not toml ["])
def test_an_invalid_policy_stops_the_agent(tmp_path: Path, text: str) -> None:
    rules = tmp_path / "policy.toml"
    rules.write_text(text)
    with pytest.raises(BadSettings, match=str(rules)):
        load(rules)


def test_the_host_id_is_created_once_and_kept(tmp_path: Path) -> None:
    first = uuid7(1_700_000_000_000, bytes(range(10)))
    assert is_id(first) and first[14] == "7" and first[19] in "89ab" and first.startswith("018bcfe5-6800")
    assert host_id(tmp_path, first) == first
    assert host_id(tmp_path, uuid7(1, b"x" * 10)) == first
    (tmp_path / "host_id").write_text("")
    with pytest.raises(StateUnusable):
        host_id(tmp_path, first)
