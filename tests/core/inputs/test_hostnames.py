"""Valid hostnames, and the name of a host that is in use."""

from __future__ import annotations

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from server.core.inputs.hostnames import FORMER, claimed, fault, given
from server.core.model import Host
from server.core.selectors.parser import Names, parse

ID = "01900000-0000-7000-8000-000000000001"


@pytest.mark.parametrize(
    "name",
    ["web1", "WEB-1", "a", "web_1.dc-1.example", "_x", "1", "a" * 63, ".".join(["a" * 63] * 3), "allx", "nothing"],
)
def test_names_as_the_rfc_has_them_are_good(name: str) -> None:
    assert fault(name) is None
    assert parse(name) == Names((name,)), "a plain word of a selector"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "is empty"),
        ("a" * 256, "longer than 255"),
        ("a" * 64, "1 to 63"),
        *((word, "word of selectors") for word in ("all", "ALL", "online", "Offline", "and", "or", "NOT", "in")),
        (ID, "host's id"),
        (ID.upper(), "host's id"),
        (ID.replace("-", ""), "host's id"),
        *(
            (name, "must consist of")
            for name in (
                "web*",
                "web?",
                "web[1-3]",
                "a,b",
                "role=db",
                "a!=b",
                "task:x",
                " ",
                "a b",
                "web.",
                ".web",
                "a..b",
                "-web",
                "web-",
                "a.-b",
                "a:b",
                "a/b",
                "..",
                "(a)",
                '"a"',
                "bücher",
                "漢",
                "a\\b",
                "web1 ",
            )
        ),
        ("web\u202e1", "U+202E"),
        ("web\u200b", "U+200B"),
        ("web\n", "U+000A"),
        ("web\x00", "U+0000"),
    ],
)
def test_a_text_that_cannot_be_a_name_gets_a_reason(name: str, why: str) -> None:
    assert why in str(fault(name))


@for_all(st.text(max_size=8))
def test_a_valid_name_is_a_selector_of_itself(name: str) -> None:
    if fault(name) is None:
        assert parse(name) == Names((name,))


@pytest.mark.parametrize("odd", ["web*", "", "all", "a,b", "task:x", "web1 ", "x" * 300, ID])
def test_a_claim_that_cannot_be_a_name_changes_nothing(odd: str) -> None:
    known = Host("h1", "web1", claimed="web1", former=("old",))
    assert claimed(known, odd) is known
    assert claimed(Host("h1", ""), odd).hostname == "h1", "a new host is called by its id"
    assert claimed(Host("h1", "a b"), odd).hostname == "a b", "and one of before keeps the name that it has"


def test_a_host_keeps_its_earlier_names() -> None:
    host = claimed(claimed(claimed(Host("h1", ""), "a"), "b"), "c")
    assert (host.hostname, host.claimed, host.former) == ("c", "c", ("b", "a"))
    assert claimed(host, "a").former == ("c", "b"), "a name that it has again is not one of before"
    for number in range(20):
        host = claimed(host, f"n{number}")
    assert len(host.former) == FORMER and host.former[0] == "n18"
    assert claimed(Host("h1", "h1"), "web1").former == (), "its id was never a name"


def test_the_operators_name_stays_until_it_is_removed() -> None:
    host = given(claimed(Host("h1", ""), "web1"), "db1")
    assert (host.hostname, host.given, host.former) == ("db1", "db1", ("web1",))
    host = claimed(host, "web2")
    assert (host.hostname, host.claimed) == ("db1", "web2")
    host = given(host, None)
    assert (host.hostname, host.given, host.former) == ("web2", None, ("db1", "web1"))
    assert given(Host("h1", "odd name"), None).hostname == "odd name", "its agent has never said one that is good"
