"""Host sets in selectors: what they mean, which ones are refused, and what an evaluation costs."""

from __future__ import annotations

import time

import pytest

from server.core.model import Host
from server.core.nouns.host_set import HostSet
from server.core.selectors.evaluate import Selection, select
from server.core.selectors.expression import Bounds, ExpressionError
from server.core.selectors.host_sets import SET_DEPTH, HostSets, SetCycle, UnknownSet, meanings
from server.core.selectors.inventory import HostDirectory
from server.core.selectors.parser import SetReference, parse, sets_in


def host_set(name: str, selector: str = "", *hosts: str) -> HostSet:
    return HostSet(name, selector, hosts, "", 1, "admin", 1)


def directory(count: int = 4) -> HostDirectory:
    known = HostDirectory()
    for number in range(count):
        known.put(Host(f"h{number}", f"web{number}", labels={"env": "prod" if number % 2 else "test"}))
    return known


def host_sets(*given: HostSet) -> HostSets:
    sets = HostSets()
    for one in given:
        sets.put(one)
    return sets


def selected(known: HostDirectory, sets: HostSets, text: str) -> Selection:
    tree = parse(text)
    return select([tree], known, {"h1"}, {}, sets=meanings(sets.reached([tree]).values()))


def test_a_reference_is_a_word_that_begins_with_at() -> None:
    assert parse("@web") == SetReference("web", 1)
    assert [one.name for one in sets_in(parse("not (@a or web1) and @b-2, @a"))] == ["a", "b-2", "a"]
    assert list(sets_in(parse("'@web'"))) == []


@pytest.mark.parametrize("text", ["@", "@Web", "@1", "@a_b", "@a.b", f"@{'a' * 65}", "@web*", "@web[1-2]"])
def test_a_bad_name_is_shown_where_it_stands(text: str) -> None:
    with pytest.raises(ExpressionError, match="the name of a host set") as raised:
        parse(f"web1 or {text}")
    assert raised.value.column == 10


def test_sets_combine_with_everything_else_and_with_one_another() -> None:
    known = directory()
    sets = host_sets(
        host_set("prod", "env=prod"),
        host_set("some", "", "h0", "h3", "deleted"),
        host_set("both", "@prod and @some"),
    )
    assert selected(known, sets, "@prod").host_ids == ["h1", "h3"]
    assert selected(known, sets, "@some and not @prod").host_ids == ["h0"]
    assert selected(known, sets, "@both or web2").host_ids == ["h2", "h3"]
    assert selected(known, sets, "online and @prod").host_ids == ["h1"]
    assert selected(known, sets, "@some").gone == 1
    assert selected(known, sets, "@some, @both, @some").gone == 1, "each set is evaluated once"


def test_an_empty_set_is_named_as_unmatched() -> None:
    known = directory()
    sets = host_sets(host_set("none", "env=none"))
    assert list(selected(known, sets, "@none").unmatched) == ["env=none", "@none"]


def test_an_unknown_set_is_named_with_what_was_meant() -> None:
    sets = HostSets()
    sets.put(host_set("web-eu", "all"))
    sets.put(host_set("outer", "@web-us"))
    with pytest.raises(UnknownSet) as raised:
        sets.reached([parse("web1, @web-e")])
    assert (raised.value.name, raised.value.near, raised.value.column) == ("web-e", ["web-eu"], 7)
    with pytest.raises(UnknownSet, match="@web-us"):
        sets.reached([parse("@outer")])


def test_a_cycle_is_refused_and_named() -> None:
    sets = HostSets()
    sets.put(host_set("a", "@b"))
    sets.put(host_set("b", "@c"))
    with pytest.raises(SetCycle, match="@c contains @a contains @b contains @c"):
        sets.check(host_set("c", "web1 or @a"))
    with pytest.raises(SetCycle, match="@a contains @a"):
        sets.check(host_set("a", "not @a"))
    sets.check(host_set("c", "all"))


def test_sets_nest_as_deep_as_allowed_and_no_deeper() -> None:
    sets = HostSets()
    for number in range(SET_DEPTH):
        made = host_set(f"s{number}", f"@s{number - 1}" if number else "all")
        sets.check(made)
        sets.put(made)
    with pytest.raises(SetCycle, match=f"more than {SET_DEPTH}"):
        sets.check(host_set("top", f"@s{SET_DEPTH - 1}"))
    sets.put(host_set("below", "all"))
    with pytest.raises(SetCycle, match=f"more than {SET_DEPTH}"):
        sets.check(host_set("s0", "@below"))


def test_who_uses_a_set_is_known_until_it_is_changed() -> None:
    sets = HostSets()
    for made in (host_set("a", "all"), host_set("b", "@a"), host_set("c", "x or @a"), host_set("d", "", "h1")):
        sets.put(made)
    assert sets.users("a") == ["b", "c"] and sets.users("d") == []
    assert sets.get("d") == host_set("d", "", "h1") and sets.get("e") is None
    sets.put(host_set("b", "all"))
    sets.remove("c")
    assert sets.users("a") == [] and [one.name for one in sets.all()] == ["a", "b", "d"] and len(sets) == 3


def test_all_sets_together_unfold_to_a_limited_number_of_names() -> None:
    made = [host_set("a", "web[1-60]"), host_set("b", "db[1-60]")]
    assert len(meanings(made, Bounds(names=120))) == 2
    with pytest.raises(ExpressionError):
        meanings(made, Bounds(names=100))


def test_ten_thousand_hosts_through_three_sets_take_little_time() -> None:
    known = directory(10_000)
    sets = host_sets(host_set("a", "env=prod"), host_set("b", "@a and web*"), host_set("c", "@b or @a"))
    begun = time.process_time()
    assert len(selected(known, sets, "@c and @b").host_ids) == 5_000
    assert time.process_time() - begun < 0.25
