"""`clarion sets`, and @SET where hosts are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from server.cli.host_arguments import targets
from tests.cli.conftest import Clarion, Fake, error, paged

ONE: dict[str, Any] = {
    "name": "web",
    "selector": "web*",
    "hosts": None,
    "description": "front\x1b[2J",
    "version": 3,
    "changed_by": "admin",
    "changed_at": 1_700_000_000_000,
    "used_by": ["all-eu"],
}
SELECTION: dict[str, Any] = {
    "text": "@web",
    "count": 2,
    "offline": 0,
    "folded": "web[1-2]",
    "more": 0,
    "sample": [],
    "warnings": [],
    "refused": False,
}


def test_a_set_is_created_from_a_selector_or_a_list(clarion: Clarion, fake: Fake) -> None:
    fake.on("POST", "/api/v1/sets", (201, ONE))
    assert clarion("sets", "create", "@web", "web*", "--description", "front").stdout == "created @web\n"
    assert fake.seen[-1].body == {"name": "web", "selector": "web*", "description": "front"}
    clarion("sets", "create", "web", "web1,web2", "--list")
    assert fake.seen[-1].body == {"name": "web", "hosts": ["web1", "web2"], "description": ""}


def test_a_set_is_changed_and_deleted(clarion: Clarion, fake: Fake) -> None:
    fake.on("PATCH", "/api/v1/sets/web", (200, ONE))
    assert clarion("sets", "change", "web", "web[1-9]").stdout == "changed @web\n"
    assert fake.seen[-1].body == {"selector": "web[1-9]"}
    fake.on("DELETE", "/api/v1/sets/web", (204, None))
    assert clarion("sets", "delete", "@web").stdout == "deleted @web\n"


def test_sets_are_listed_and_shown_without_control_characters(clarion: Clarion, fake: Fake) -> None:
    fake.on("GET", "/api/v1/sets", paged([ONE]))
    lines = clarion("sets", "list").stdout.splitlines()
    assert "@web" in lines[1] and "@all-eu" in lines[1] and "\x1b" not in lines[1]
    fake.on("GET", "/api/v1/sets/web", (200, ONE))
    fake.on("POST", "/api/v1/hosts/select", (200, SELECTION))
    shown = clarion("sets", "show", "web").stdout
    assert "2, web[1-2]" in shown and "used by      @all-eu" in shown and "\x1b" not in shown


def test_an_error_of_a_set_names_the_remedy(clarion: Clarion, fake: Fake) -> None:
    fake.on("DELETE", "/api/v1/sets/web", (409, error("set_in_use", "The host set is used.", "change the others")))
    result = clarion("sets", "delete", "web")
    assert result.exit_code == 64 and "Change the others" in result.stderr


def test_a_file_is_preferred_to_a_set_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert targets(["@web"]) == ["@web"]
    (tmp_path / "web").write_text("db1\n")
    assert targets(["@web"]) == ["db1"]
    assert targets(["(@web)"]) == ["(@web)"]
    for text in ("@web and not @canary", "@eu or db1", "@web\tand online", "@web,@db", "@eu)"):
        assert targets([text]) == [text], "a selector that begins with a host set is not the name of a file"
