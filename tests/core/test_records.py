"""Collections of records in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from server.core.records import Collection, Records


@dataclass(frozen=True)
class Badge:
    code: str
    color: str = "red"


class Badges(Collection[Badge]):
    key: ClassVar[str] = "code"


def badges(*codes: str) -> Badges:
    made = Badges()
    for code in codes:
        made.put(Badge(code))
    return made


def test_a_record_is_found_by_its_key_until_it_is_replaced_or_removed() -> None:
    made = badges("a")
    made.put(Badge("a", "blue"))
    assert made.get("a") == Badge("a", "blue") and len(made) == 1
    made.remove("a")
    made.remove("never there")
    assert made.get("a") is None and len(made) == 0 and made.all() == []


def test_pages_follow_the_order_of_the_keys_and_end() -> None:
    made = badges("c", "a", "d", "b")
    assert [one.code for one in made.all()] == ["a", "b", "c", "d"]
    first, more = made.page("", 2)
    assert ([one.code for one in first], more) == (["a", "b"], "b")
    last, end = made.page("b", 2)
    assert ([one.code for one in last], end) == (["c", "d"], None)
    assert made.page("d", 2) == ([], None)


def test_similar_keys_are_proposed() -> None:
    assert badges("web-eu", "db").near("web-us") == ["web-eu"]


def test_each_class_has_one_collection_and_they_share_nothing() -> None:
    records, other = Records(), Records()

    class Others(Badges):
        pass

    records.of(Badges).put(Badge("a"))
    assert records.of(Badges) is records.of(Badges) and len(records.of(Badges)) == 1
    assert len(records.of(Others)) == 0 and len(other.of(Badges)) == 0
