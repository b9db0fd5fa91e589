"""`clarion join-token create` with what binds a token, and `clarion join` for hosts that wait."""

from __future__ import annotations

import json
from typing import Any

from tests.cli.conftest import Clarion, Fake, error, paged

ONE: dict[str, Any] = {
    "request_id": "0a" * 16, "state": "pending", "hostname": "web-9\x1b[2J", "address": "10.0.0.9", "previous_host_id": None, "token_id": "abcDEF12",  # noqa: E501
    "created_at": 1_700_000_000_000, "expires_at": 1_700_000_060_000, "decided_at": None, "decided_by": None,
}  # fmt: skip
MADE: dict[str, Any] = {
    "token_id": "abcDEF12", "token": "jt_abcDEF12_x", "expires_at": 1, "uses_left": 1, "labels": {}, "networks": [], "approve": True,  # noqa: E501
    "created_by": "admin", "created_at": 1, "ca_pin": None, "enrol_host": None, "enrol_port": None,
}  # fmt: skip


def test_options_for_networks_and_approval_reach_the_server(clarion: Clarion, fake: Fake) -> None:
    fake.on("POST", "/api/v1/join-tokens", (201, MADE))
    result = clarion("join-token", "create", "--network", "10.1.0.0/16", "--network", "2001:db8::/32", "--approve")
    assert result.stdout == "jt_abcDEF12_x\n"
    sent = fake.seen[-1].body
    assert (sent["networks"], sent["approve"]) == (["10.1.0.0/16", "2001:db8::/32"], True)


def test_waiting_joins_are_listed_without_control_characters(clarion: Clarion, fake: Fake) -> None:
    fake.on("GET", "/api/v1/join-requests", paged([ONE]))
    lines = clarion("join", "pending").stdout.splitlines()
    assert (
        lines[1].startswith("0a" * 16) and "pending" in lines[1] and "10.0.0.9" in lines[1] and "\x1b" not in lines[1]
    )
    fake.on("GET", "/api/v1/join-requests", (200, {"items": [], "next": None}))
    assert clarion("join", "pending").stderr == "no joins wait for approval\n"


def test_several_joins_are_decided_in_one_call(clarion: Clarion, fake: Fake) -> None:
    for verb, state in (("approve", "approved"), ("deny", "denied")):
        for name in ("a", "b"):
            fake.on("POST", f"/api/v1/join-requests/{name}/{verb}", (200, ONE | {"request_id": name, "state": state}))
        result = clarion("join", verb, "a", "b", "--json")
        assert [one["request_id"] for one in json.loads(result.stdout)[state]] == ["a", "b"]
        assert clarion("join", verb, "a").stdout.endswith(f"{state} a (web-9\\x1b[2J)\n")


def test_an_unknown_join_request_is_an_error_with_a_remedy(clarion: Clarion, fake: Fake) -> None:
    fake.on(
        "POST",
        "/api/v1/join-requests/x/approve",
        (404, error("join_request_not_found", "no join waits under this id", "list them")),
    )
    assert "list them" in clarion("join", "approve", "x").stderr
