"""The grammar of targets, and which hosts it means."""

from __future__ import annotations

import fnmatch
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.core.model import Host
from server.core.results.groups import (
    KIND,
    KindOrder,
    ResultGroup,
    hosts_in_slices,
    hosts_of,
    largest_first,
    outliers_first,
)
from server.core.selectors.evaluate import Selection, TooCostly, select, select_in_slices
from server.core.selectors.expression import BOUNDS, MAX_DEPTH, Bounds, ExpressionError, Not, Or, Parser, Tree
from server.core.selectors.glob import Glob
from server.core.selectors.inventory import HostDirectory
from server.core.selectors.parser import Names, Selector, TaskResults, parse, parse_all, results_in
from server.core.states import ExecutionStatus

TASK = "01900000-0000-7000-8000-00000000000a"
OTHER = "01900000-0000-7000-8000-00000000000b"


def an_id(number: int) -> str:
    return f"01900000-0000-7000-9000-{number:012d}"


HOSTS = [
    Host(
        an_id(1),
        "web1",
        ip="10.0.0.1",
        os="debian 12",
        arch="x86_64",
        version="1.0",
        labels={"role": "web", "env": "prod"},
        agent_labels={"env": "test", "rack": "7"},
    ),
    Host(an_id(2), "web2", ip="10.0.1.2", os="debian 12", arch="arm64", version="1.1", labels={"role": "web"}),
    Host(
        an_id(3),
        "web10",
        ip="192.168.0.1",
        os="rhel",
        arch="x86_64",
        version="1.1",
        labels={"role": "web", "status": "old"},
    ),
    Host(an_id(4), "db1", ip="fd00::4", os="rhel", arch="x86_64", version="1.1", labels={"role": "db"}),
    Host(an_id(5), "twin", ip="not an address"),
    Host(an_id(6), "twin"),
    Host(an_id(7), "offline", labels={"note": "a, (b)"}),
]


@pytest.fixture
def directory() -> HostDirectory:
    made = HostDirectory()
    for host in HOSTS:
        made.put(host)
    return made


def choose(directory: HostDirectory, text: str, results: dict[TaskResults, frozenset[str]] | None = None) -> Selection:
    return select([parse(text)], directory, {an_id(1), an_id(4)}, results or {})


def names(directory: HostDirectory, text: str) -> str:
    found = choose(directory, text)
    return " ".join(directory.hostnames(found.host_ids))


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
def test_what_an_expression_means(directory: HostDirectory, text: str, meant: str) -> None:
    assert names(directory, text) == meant


def test_names_that_nobody_has_and_names_that_many_have_are_told(directory: HostDirectory) -> None:
    found = choose(
        directory,
        f"web[1-4],twin and not nobody or {an_id(99)} or zz* or role=none or ip=1.0.0.0/8 or ip=9* or role=mq",
    )
    assert list(found.unknown) == ["web3", "web4", "nobody", an_id(99)]
    assert found.ambiguous == {"twin": (an_id(5), an_id(6))}
    assert list(found.unmatched) == ["zz*", "role=none", "ip=1.0.0.0/8", "ip=9*", "role=mq"]


def test_results_of_a_task_are_hosts_like_any_other(directory: HostDirectory) -> None:
    text = f"task:{TASK} and status=failed and role=web or task:{OTHER} group=2 exit_code in (1,2) reason!=timed_out"
    tree = parse(text)
    first, second = results_in(tree)
    assert [
        (one.task_id, [(part.field, part.negate, part.values) for part in one.refinements]) for one in (first, second)
    ] == [
        (TASK, [("status", False, {int(ExecutionStatus.FAILED)})]),
        (OTHER, [("group", False, {2}), ("exit_code", False, {1, 2}), ("reason", True, {"timed_out"})]),
    ]
    found = choose(directory, text, {first: frozenset([an_id(1), an_id(4)]), second: frozenset([an_id(4), an_id(77)])})
    assert (found.host_ids, found.gone) == ([an_id(4), an_id(1)], 1)
    assert [one.task_id for one in results_in(parse(f"not task:{TASK.upper()}, web1"))] == [TASK]
    (negated,) = results_in(parse(f"task:{TASK} and status not in (completed, cancelled)"))
    assert negated.refinements[0].negate and negated.refinements[0].values == {
        int(ExecutionStatus.COMPLETED),
        int(ExecutionStatus.CANCELED),
    }


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
def test_an_error_points_at_the_column_and_says_what_could_stand_there(text: str, column: int, expected: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert (caught.value.column, expected in caught.value.expected) == (column, True), str(caught.value)
    assert f"at column {column}: expected " in str(caught.value)


def test_deep_but_allowed_expressions_are_read(directory: HostDirectory) -> None:
    assert names(directory, "(" * MAX_DEPTH + "web1" + ")" * MAX_DEPTH) == "web1"
    assert names(directory, " or ".join(["(web1)"] * 200)) == "web1"


@given(st.text("ab*?.", max_size=9), st.text("ab.", max_size=9))
def test_patterns_match_like_the_shells(pattern: str, text: str) -> None:
    wanted = re.fullmatch(fnmatch.translate(pattern), text) is not None
    assert Glob(pattern).matches(text) is wanted
    assert Glob(pattern).matcher()(text) is wanted
    assert Glob(pattern, literal=True).matches(text) is (pattern == text)
    assert not wanted or text.startswith(Glob(pattern).prefix)


def test_a_pattern_made_to_be_slow_is_not() -> None:
    assert not Glob("a*" * 500 + "b").matches("a" * 250 + "c")


@pytest.mark.parametrize(
    "text",
    [
        "*1,*2,*3",
        "*a?*",
        "all and not web1 and not web2",
        "all and online",
        "all or online",
        "web[1-90]",
        "web*",
        "ip=10.0.0.0/8",
        "ip=1*",
        f"task:{TASK}",
        "role=web",
        "role=*?b",
        "*" + "?" * 101,
        "all",
    ],
)
def test_whatever_an_evaluation_does_is_counted(directory: HostDirectory, text: str) -> None:
    results = {TaskResults(TASK, (), 1): frozenset({an_id(1)})}
    chosen = [parse(text)]
    needed = next(most for most in range(1_000) if _is_enough(chosen, directory, results, most))
    assert needed > 0
    assert (
        select(chosen * 2, directory, set(), results, Bounds(comparisons=10_000)).host_ids
        == select(chosen, directory, set(), results).host_ids
    )


def _is_enough(
    trees: list[Selector], directory: HostDirectory, results: dict[TaskResults, frozenset[str]], most: int
) -> bool:
    try:
        select(trees, directory, set(), results, Bounds(comparisons=most))
    except TooCostly:
        return False
    return True


def fleet(number: int) -> HostDirectory:
    made = HostDirectory()
    for index in range(number):
        made.put(
            Host(an_id(index), f"web{index:05d}", ip=f"10.0.{index >> 8}.{index & 255}", labels={"serial": f"s{index}"})
        )
    return made


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("*b?00?*", 100),
        ("serial=*?9", 300),
        ("serial in (s1,s2,nothing)", 2),
        ("ip=10.0.?.*", 2_560),
        ("web[00000-02999]", 3_000),
        ("ip=10.0.1.0/24", 256),
        (" and ".join(["not web00001"] * 40), 2_999),
        ("*" + "?" * 200 + ",serial=" + "?" * 200, 0),
    ],
)
def test_a_slice_is_small_and_all_slices_together_are_the_same(text: str, count: int) -> None:
    directory, trees = fleet(3_000), [parse(text)]
    steps, slices = select_in_slices(trees, directory, set(), {}), 1
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: Selection = end.value
            break
        slices += 1
    assert found.host_ids == select(trees, directory, set(), {}).host_ids
    assert len(found.host_ids) == count
    assert slices <= 12


def test_a_pattern_is_refused_for_what_it_costs_and_not_for_its_length() -> None:
    directory = fleet(1_000)
    assert not select([parse("*" + "?" * 60_000 + "*")], directory, set(), {}).host_ids
    hard = parse(" or ".join(f"*?{index}?*?e?*?b?*" for index in range(1_000)))
    with pytest.raises(TooCostly):
        select([hard], directory, set(), {})


def test_a_pattern_for_long_names_finds_long_names() -> None:
    directory = fleet(3)
    directory.put(Host(an_id(9), "n" * 150))
    assert select([parse("*?" + "n" * 120 + "*")], directory, set(), {}).host_ids == [an_id(9)]


def test_names_of_all_texts_share_one_limit() -> None:
    few = Bounds(names=5)
    first, second, third = parse_all(["a[1-3]", "b[1-3]", "c"], few)
    assert isinstance(first, Names) and isinstance(third, Names)
    assert isinstance(second, ExpressionError) and second.expected == "at most 2 names"
    assert isinstance(parse_all(["a[1-3]*,b[1-3]"], few)[0], ExpressionError)
    assert isinstance(parse_all(["a]"])[0], ExpressionError)


def test_the_hosts_of_a_task_in_slices_are_the_same() -> None:
    answers = [
        ResultGroup(
            ExecutionStatus.COMPLETED,
            number % 3,
            None,
            None,
            None,
            None,
            1,
            tuple(an_id(number * 40 + host) for host in range(40)),
            number,
        )
        for number in range(1, 900)
    ]
    wanted = next(results_in(parse(f"task:{TASK} exit_code=1")))
    steps, slices = hosts_in_slices(answers, wanted), 0
    while True:
        try:
            next(steps)
        except StopIteration as end:
            assert end.value == hosts_of(answers, wanted)
            break
        slices += 1
    assert slices >= 2


@pytest.mark.parametrize(
    ("text", "bounds"), [("web1", Bounds(chars=3)), ("web[1-3]", Bounds(names=2)), ("web[1-3]*", Bounds(patterns=2))]
)
def test_every_bound_of_an_expression_is_an_argument(text: str, bounds: Bounds) -> None:
    with pytest.raises(ExpressionError, match=r"at most [23] "):
        parse(text, bounds)
    parse(text)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 5),
            st.sampled_from(["a", "b"]),
            st.dictionaries(st.sampled_from("xy"), st.sampled_from("12")),
            st.sampled_from(["", "10.0.0.1", "::1"]),
            st.booleans(),
        ),
        max_size=30,
    )
)
def test_the_directory_is_what_a_new_one_would_be(changes: list[tuple[int, str, dict[str, str], str, bool]]) -> None:
    directory = HostDirectory()
    known: dict[str, Host] = {}
    for number, hostname, labels, ip, gone in changes:
        if gone:
            assert directory.remove(an_id(number)) == known.pop(an_id(number), None)
            continue
        known[an_id(number)] = Host(an_id(number), hostname, ip=ip, os=hostname, labels=labels, agent_labels={"x": "0"})
        directory.put(known[an_id(number)])
    fresh = HostDirectory()
    for host in known.values():
        fresh.put(host)
    assert (directory.hosts, directory.order, directory.addresses) == (fresh.hosts, fresh.order, fresh.addresses)
    for name in ("a", "b"):
        assert directory.named(name) == fresh.named(name)
    for key in ("x", "y"):
        assert directory.labelled(key) == fresh.labelled(key)
    assert directory.fact("os") == fresh.fact("os")


@given(
    st.recursive(
        st.sampled_from(["web1", "role=web", "online", "all", "db1,web2"]),
        lambda inner: st.one_of(
            inner.map(lambda a: f"not ({a})"),
            st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda t: f"({t[0]}) {t[1]} ({t[2]})"),
        ),
        max_leaves=8,
    )
)
def test_set_operations_are_those_of_sets(text: str) -> None:
    directory = HostDirectory()
    for host in HOSTS:
        directory.put(host)
    everybody = frozenset(directory.hosts)

    def value(tree: Tree[object]) -> frozenset[str]:
        if isinstance(tree, Not):
            return everybody - value(tree.part)
        parts = getattr(tree, "parts", None)
        if parts is None:
            return frozenset(select([tree], directory, {an_id(1), an_id(4)}, {}).host_ids)  # type: ignore[list-item]
        sets = [value(part) for part in parts]
        return frozenset.union(*sets) if isinstance(tree, Or) else frozenset.intersection(*sets)

    assert frozenset(choose(directory, text).host_ids) == value(parse(text))


def test_several_selectors_mean_all_their_hosts_once(directory: HostDirectory) -> None:
    assert directory.hostnames(select([parse("web1"), parse("web*")], directory, set(), {}).host_ids) == [
        "web1",
        "web10",
        "web2",
    ]
    assert directory.hostnames(["nobody", an_id(1)]) == ["web1"]


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=30), st.sets(st.integers(0, 35)))
def test_few_hosts_come_in_the_same_order_as_many(hostnames: list[str], wanted: set[int]) -> None:
    directory = HostDirectory()
    for number, hostname in enumerate(hostnames):
        directory.put(Host(an_id(number), hostname))
    asked = {an_id(number) for number in wanted}
    assert directory.sorted(asked) == [host_id for _, host_id in directory.order if host_id in asked]


def test_a_grammar_must_say_what_its_atoms_are() -> None:
    with pytest.raises(NotImplementedError):
        Parser[object]("x").parse()
    with pytest.raises(ExpressionError, match="and, or, or the end"):

        class One(Parser[object]):
            def atom(self) -> object:
                return self.take()

        One("x,y").parse()


E = ExecutionStatus
COMPLETED = ResultGroup(E.COMPLETED, 0, None, None, b"a", None, 5, ("h1", "h2", "h3"))
FAILED = ResultGroup(E.FAILED, 1, None, "exit_nonzero", b"a", b"b", 3, ("h4",))
OFFLINE = ResultGroup(E.DISPATCH_FAILED, None, None, "offline", None, None, 3, ("h5", "h6"))
RUNNING = ResultGroup(E.RUNNING, None, None, None, None, None, None, ("h7",))


def test_answers_are_numbered_in_the_order_in_which_they_came() -> None:
    order = KindOrder()
    found = order.numbered([RUNNING, COMPLETED, OFFLINE, FAILED])
    assert [(one.status, one.number) for one in found] == [
        (E.FAILED, 1),
        (E.DISPATCH_FAILED, 2),
        (E.COMPLETED, 3),
        (E.RUNNING, 0),
    ]
    assert [one.number for one in KindOrder().numbered([FAILED, OFFLINE])] == [1, 2]
    assert len(bytes(order)) == 3 * KIND
    assert [one.number for one in largest_first(found)] == [3, 2, 0, 1]
    assert [one.number for one in KindOrder(bytes(order)).numbered([OFFLINE, COMPLETED])] == [2, 3], (
        "a number is not given to another kind"
    )
    earlier = KindOrder()
    earlier.numbered([COMPLETED])
    assert [(one.status, one.number) for one in KindOrder(bytes(earlier)).numbered([FAILED, OFFLINE, COMPLETED])] == [
        (E.COMPLETED, 1),
        (E.FAILED, 2),
        (E.DISPATCH_FAILED, 3),
    ], "what was shown as 1 stays 1"
    assert [one.number for one in outliers_first(found)] == [0, 1, 2, 3]
    assert (FAILED.outputs, OFFLINE.outputs, COMPLETED.count) == ((b"a", b"b"), (), 3)


@pytest.mark.parametrize(
    ("test", "hosts"),
    [
        ("", "h1 h2 h3 h4 h5 h6 h7"),
        ("status=failed", "h4"),
        ("status!=completed", "h4 h5 h6 h7"),
        ("status in (failed,running)", "h4 h7"),
        ("group=2", "h5 h6"),
        ("group!=2", "h1 h2 h3 h4 h7"),
        ("exit_code=0", "h1 h2 h3"),
        ("reason=offline", "h5 h6"),
        ("status!=completed and group in (1,3)", "h4"),
    ],
)
def test_hosts_are_found_by_what_they_answered(test: str, hosts: str) -> None:
    (results,) = results_in(parse(f"task:{TASK} {test}"))
    assert sorted(hosts_of(KindOrder().numbered([COMPLETED, FAILED, OFFLINE, RUNNING]), results)) == hosts.split()
