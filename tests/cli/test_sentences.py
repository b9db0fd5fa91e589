"""Errors of the server as the CLI prints them: plain sentences without repetition, control characters or useless
hints."""

from __future__ import annotations

import pytest

from server.errors import PROBLEMS
from tests.cli.conftest import Clarion, Fake, error

IDS = [f"id-{number}" for number in range(30)]


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        (
            (
                422,
                error(
                    "unknown_hosts",
                    "No host named 'web0'. Did you mean web01?",
                    PROBLEMS["unknown_hosts"].hint,
                    unknown=["web0"],
                ),
            ),
            "No host named 'web0'. Did you mean web01?",
        ),
        (
            (
                404,
                error(
                    "host_not_found",
                    "No host named 'wbe1'. Did you mean web1 or web2?",
                    PROBLEMS["host_not_found"].hint,
                ),
            ),
            "No host named 'wbe1'. Did you mean web1 or web2?",
        ),
        (
            (422, error("unknown_hosts", "No host named 'x'.", PROBLEMS["unknown_hosts"].hint, unknown=["x"])),
            "No host named 'x'. Correct the names; the list of hosts has the right ones.",
        ),
        (
            (409, error("host_ambiguous", "30 hosts are named 'vm': id-0, id-1 and 28 more.", "use an id", ids=IDS)),
            "30 hosts are named 'vm': id-0, id-1 and 28 more. Use an id.",
        ),
        (
            (409, error("host_exists", "A host named 'web02' exists: id-1.", "use another name", field="hostname")),
            "A host named 'web02' exists: id-1. Use another name.",
        ),
        (
            (422, error("unknown_hosts", "No host named 'a\\u200bb'.", "use an id", malformed=["a\u200bb"])),
            "No host named 'a\\u200bb'. Use an id.",
        ),
        (
            (422, error("unknown_hosts", "No host named 'a\\x00b'.", "use an id", malformed=["a\0b"])),
            "No host named 'a\\x00b'. Use an id.",
        ),
        (
            (422, error("invalid_value", "some names are wrong", "correct them", unknown=["a\u202eb", "c\x1b[2J"])),
            "some names are wrong; 2 unknown: a\\u202eb, c\\x1b[2J; correct them",
        ),
    ],
)
def test_a_refusal_is_printed_as_plain_sentences(
    clarion: Clarion, fake: Fake, refusal: tuple[int, dict[str, object]], said: str
) -> None:
    fake.on("GET", "/api/v1/hosts/web0", refusal)
    assert clarion("hosts", "show", "web0").stderr == f"clarion: {said}\n"


@pytest.mark.parametrize("token", ["bad", "cl_x_y"])
def test_a_refused_token_is_named_by_its_source(
    clarion: Clarion, fake: Fake, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("CLARION_TOKEN", token)
    fake.on(
        "GET",
        "/api/v1/statistics",
        (
            401,
            error(
                "unauthenticated",
                "the token is no good: not of the form cl_ID_SECRET",
                PROBLEMS["unauthenticated"].hint,
            ),
        ),
    )
    result = clarion("stats")
    assert result.exit_code == 77
    assert (
        "; it was that of CLARION_TOKEN; name another with --token-file, CLARION_TOKEN or CLARION_TOKEN_FILE\n"
        in result.stderr
    )


@pytest.mark.parametrize("option", ["--xyzzy", "--frobnicate"])
def test_an_option_unlike_any_other_gets_no_suggestion(clarion: Clarion, option: str) -> None:
    assert clarion("run", "all", option, "--", "true").stderr.endswith(f"No such option '{option}'.\n")
