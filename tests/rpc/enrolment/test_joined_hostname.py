"""The host name given to `clarion-agent join` is kept: `run` sends it, and joining again does not forget it."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from agent import app
from agent.enrolment import client, credentials, join_command
from agent.enrolment.credentials import Joined
from agent.errors import BadSettings, StateUnusable
from agent.settings import Settings
from tests.rpc.border import border

WHERE = Joined("01900000-0000-7000-8000-00000000000a", "server", 8441, "server", 8442, f"sha256:{'0' * 64}")


async def test_joining_keeps_the_name_that_was_given(tmp_path: Path) -> None:
    async with border(tmp_path) as site:
        assert (await site.join("web01")).hostname == "web01"
        assert credentials.joined(tmp_path / "web01").hostname == "web01"
        asked = client.JoinRequest(("127.0.0.1", site.ports[1]), await site.token(), site.entrance.pin)
        (tmp_path / "plain").mkdir()
        where = await client.join(tmp_path / "plain", asked)
        assert where.hostname == "", "a kernel's name may change later and is not kept"
        host = site.registry.host(where.host_id)
        assert host is not None and host.hostname == os.uname().nodename


@pytest.mark.parametrize(
    ("given", "kept", "sent"),
    [("", "", ""), ("", "web01", "web01"), ("db01", "web01", "db01"), ("db01", "", "db01")],
)
def test_run_sends_its_own_setting_or_else_the_name_given_when_joining(given: str, kept: str, sent: str) -> None:
    assert app._host_name(Settings(hostname=given), joined_as(kept)) == sent


def test_without_tls_there_is_only_the_setting() -> None:
    assert app._host_name(Settings(hostname="db01"), None) == "db01"
    assert app._host_name(Settings(), None) == ""


def test_joining_again_without_a_name_keeps_the_earlier_one(tmp_path: Path) -> None:
    request = client.JoinRequest(("server", 1), "token", WHERE.ca_pin)
    assert join_command._with_earlier_name(request, tmp_path) == request, "there was no join before"
    credentials.save_joined(tmp_path, joined_as("web01"), b"root")
    assert join_command._with_earlier_name(request, tmp_path) == replace(request, hostname="web01")
    (tmp_path / credentials.JOINED).write_text("damaged")
    assert join_command._with_earlier_name(request, tmp_path) == request


def test_files_of_other_versions_can_be_read(tmp_path: Path) -> None:
    credentials.save_joined(tmp_path, WHERE, b"root")
    path = tmp_path / credentials.JOINED
    written = json.loads(path.read_text())
    assert "hostname" not in written, "an older agent refuses fields that it does not know"
    path.write_text(json.dumps({**written, "of_a_newer_agent": [1]}))
    assert credentials.joined(tmp_path) == WHERE
    del written["ca_pin"]
    path.write_text(json.dumps(written))
    with pytest.raises(StateUnusable):
        credentials.joined(tmp_path)


@pytest.mark.parametrize("name", ["", "two words", "tab\there", "x" * 256, "\x1b[31mred"])
def test_join_refuses_a_name_that_run_would_refuse(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadSettings, match="--hostname: must be a name"):
        join_command.join("server", "-", WHERE.ca_pin, tmp_path / "state", name)
    assert not (tmp_path / "state").exists(), "nothing was written, and no token was read"


def joined_as(hostname: str) -> Joined:
    return structs.replace(WHERE, hostname=hostname)
