"""The grammar of selectors: meaning, errors and limits."""

from __future__ import annotations

import pytest

from server.core.selectors.expression import BOUNDS, MAX_DEPTH, Bounds, ExpressionError, Parser
from server.core.selectors.inventory import HostDirectory
from server.core.selectors.parser import Names, parse, parse_all
from tests.core.selectors.sample import TASK, an_id, names


@pytest.mark.capability("R8")
@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("all", "db1 offline twin twin web1 web10 web2"),
        ("ALL", "db1 offline twin twin web1 web10 web2"),
        ("online", "db1 web1"),
        ("offline", "offline twin twin web10 web2"),
        ('"offline"', "offline"),
        ("web1", "web1"),
        (an_id(2), "web2"),
        ("web1,db1", "db1 web1"),
        ("web[1-2,10]", "web1 web10 web2"),
        ("web*", "web1 web10 web2"),
        ("web?", "web1 web2"),
        ("*1", "db1 web1"),
        ("*e*1*", "web1 web10"),
        ("*eb*", "web1 web10 web2"),
        ("*e?1*", "web1 web10"),
        ("w*[1-2]", "web1 web2"),
        ("role=db", "db1"),
        ("role!=db", "offline twin twin web1 web10 web2"),
        ("role=*", "db1 web1 web10 web2"),
        ("role=w*", "web1 web10 web2"),
        ('role="w*"', ""),
        ("role in (db, web)", "db1 web1 web10 web2"),
        ("role not in (db,web)", "offline twin twin"),
        ("env=prod", "web1"),
        ("env=test", ""),
        ("rack=7", "web1"),
        ("label.status=old", "web10"),
        ("'note'='a, (b)'", "offline"),
        ("os='debian 12' and arch=x86_64", "web1"),
        ("os=deb*", "web1 web2"),
        ("version=1.1", "db1 web10 web2"),
        ("ip=10.0.0.0/16", "web1 web2"),
        ("ip=10.0.0.1", "web1"),
        ("ip=10.0.*", "web1 web2"),
        ("ip=fd00::/8", "db1"),
        ("ip!=10.0.0.0/8", "db1 offline twin twin web10"),
        ("ip in (10.0.0.1, 192.168.0.0/16)", "web1 web10"),
        ("name=web1", "web1"),
        ("hostname!=web*", "db1 offline twin twin"),
        (f"id in ({an_id(1)},{an_id(4)})", "db1 web1"),
        ("web* and not role=db", "web1 web10 web2"),
        ("web1 or db1 and online", "db1 web1"),
        ("(web1 or db1) and offline", ""),
        ("web1,web2 and offline", "web2"),
        ("not web1,web2", "db1 offline twin twin web10"),
        ("not not web1", "web1"),
        ("(web1),(db1 or web2)", "db1 web1 web2"),
        (" web1 OR\nweb2 ", "web1 web2"),
    ],
)
def test_a_selector_selects_these_hosts(directory: HostDirectory, text: str, meant: str) -> None:
    assert names(directory, text) == meant


@pytest.mark.parametrize(
    ("text", "column", "expected"),
    [
        ("", 1, "a host's name"),
        ("web1 and", 9, "a host's name"),
        ("web1 web2", 6, "and, or, a comma, or the end"),
        ("(web1", 6, "a closing parenthesis"),
        ("web1)", 5, "and, or, a comma"),
        ("web1,,web2", 6, "a host's name"),
        ("web1,not web2", 6, "a host's name"),
        ("role=", 6, "a value"),
        ("role = (", 8, "a value"),
        ("role in db", 9, "( and a list"),
        ("role in (db web)", 13, "a comma or a closing"),
        ("role not in (", 14, "a value"),
        ("version<2", 8, "= or !="),
        ("a !b", 3, "!= or the word not"),
        ('role="db', 6, 'a closing "'),
        ("web[1-", 4, "a ] to close"),
        ("ok or web[3-1]", 11, "goes up"),
        ("ip=10.0.0.0/99", 4, "a network"),
        ("id=web1", 4, "36 characters"),
        ("label.=x", 7, "the name of a label"),
        ("status=failed", 1, "task:ID before status"),
        ("task:12", 6, "a task's id"),
        ("task:", 6, "a task's id"),
        (f"task:{TASK} status=broken", 50, "one of waiting"),
        (f"task:{TASK} reason=broken", 50, "the code of a reason"),
        (f"task:{TASK} group=x", 49, "a whole number"),
        (f"task:{TASK} status not x", 54, "in"),
        ("and", 1, "a host's name"),
        ("(" * (MAX_DEPTH + 1), MAX_DEPTH + 1, "at most 50"),
        ("not " * (MAX_DEPTH + 1), 4 * MAX_DEPTH + 1, "at most 50"),
        ("x" * (BOUNDS.chars + 1), BOUNDS.chars + 1, "at most 65,536 characters"),
        ("web[1-200000]", 5, "at most 100,000 names"),
        ("web[1-2000]*", 5, "at most 1,000 names"),
    ],
)
def test_an_error_names_the_column_and_what_is_expected(text: str, column: int, expected: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert (caught.value.column, expected in caught.value.expected) == (column, True), str(caught.value)
    assert f"at column {column}: expected " in str(caught.value)


def test_deep_expressions_within_the_limit_are_parsed(directory: HostDirectory) -> None:
    assert names(directory, "(" * MAX_DEPTH + "web1" + ")" * MAX_DEPTH) == "web1"
    assert names(directory, " or ".join(["(web1)"] * 200)) == "web1"


def test_the_names_of_all_texts_share_one_limit() -> None:
    few = Bounds(names=5)
    first, second, third = parse_all(["a[1-3]", "b[1-3]", "c"], few)
    assert isinstance(first, Names) and isinstance(third, Names)
    assert isinstance(second, ExpressionError) and second.expected == "at most 2 names"
    assert isinstance(parse_all(["a[1-3]*,b[1-3]"], few)[0], ExpressionError)
    assert isinstance(parse_all(["a]"])[0], ExpressionError)


@pytest.mark.parametrize(
    ("text", "bounds"), [("web1", Bounds(chars=3)), ("web[1-3]", Bounds(names=2)), ("web[1-3]*", Bounds(patterns=2))]
)
def test_every_limit_of_an_expression_is_an_argument(text: str, bounds: Bounds) -> None:
    with pytest.raises(ExpressionError, match=r"at most [23] "):
        parse(text, bounds)
    parse(text)


def test_a_grammar_must_define_its_atoms() -> None:
    with pytest.raises(NotImplementedError):
        Parser[object]("x").parse()
    with pytest.raises(ExpressionError, match="and, or, or the end"):

        class One(Parser[object]):
            def atom(self) -> object:
                return self.take()

        One("x,y").parse()
