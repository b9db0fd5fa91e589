"""The helpers that server, agent, CLI and load test share."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from proto.common import duration
from proto.common.exception_groups import first_leaf, leaves, sole
from proto.common.lock_file import LockHeld, lock_file
from proto.common.lru import LruCache
from proto.common.token_bucket import TokenBucket


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("0", 0), ("500ms", 0.5), ("30s", 30), ("1.5m", 90), ("2h", 7_200), ("7d", 604_800)],
)
def test_duration_has_units(text: str, seconds: float) -> None:
    assert duration.parse(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "1 s", "-1", "1w", "1e3", ".5", "soon", "1S"])
def test_other_texts_are_not_durations(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        duration.parse(text)


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), (" 30m ", 1_800), ("7d", 604_800)])
def test_whole_duration(text: str, seconds: float) -> None:
    assert duration.parse_whole(text) == seconds


@pytest.mark.parametrize("text", ["0", "500ms", "1.5m", "0h", "1234567890"])
def test_whole_duration_is_a_positive_whole_number(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        duration.parse_whole(text)


@pytest.mark.parametrize(("text", "seconds"), [("0s", 0), ("90m", 5_400), ("7d", 604_800), ("2w", 1_209_600)])
def test_an_age_has_a_unit(text: str, seconds: float) -> None:
    assert duration.parse_age(text) == seconds


@pytest.mark.parametrize("text", ["90", "500ms", "1.5h", "1234567d", "-1h", " 1h", "1y", ""])
def test_other_texts_are_not_ages(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        duration.parse_age(text)


def test_leaves_of_exception_groups() -> None:
    one, two = ValueError("1"), KeyError("2")
    group = BaseExceptionGroup("outer", [ExceptionGroup("inner", [one]), two])
    assert list(leaves(group)) == [one, two] and list(leaves(one)) == [one]
    assert first_leaf(group) is one and first_leaf(two) is two
    assert sole(group) is group
    assert sole(ExceptionGroup("a", [ExceptionGroup("b", [one])])) is one


def test_lru_cache_drops_the_entry_used_longest_ago() -> None:
    cache: LruCache[str, int] = LruCache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1
    cache.put("c", 3)
    assert (cache.get("a"), cache.get("b"), cache.get("c"), len(cache)) == (1, None, 3, 2)
    assert cache.pop("a") == 1 and cache.pop("a") is None and len(cache) == 1


def test_token_bucket_saves_up_to_its_burst_and_then_gives_at_its_rate() -> None:
    bucket = TokenBucket(rate=10, burst=2, now=0.0)
    assert [bucket.wait(0.0) for _ in range(4)] == pytest.approx([0, 0, 0.1, 0.2])
    assert bucket.wait(0.5) == 0
    assert [bucket.wait(100.0) for _ in range(3)] == pytest.approx([0, 0, 0.1])


def test_token_bucket_refuses_without_taking_a_token() -> None:
    bucket = TokenBucket(rate=1, burst=2, now=0.0)
    assert [bucket.allows(0.0) for _ in range(4)] == [True, True, False, False]
    assert not bucket.is_full(1.9) and bucket.is_full(2.0)
    assert bucket.allows(1.0) and not bucket.allows(1.0)


def test_lock_file_names_its_holder_and_is_free_after_the_process_ends(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with lock_file(path):
        assert path.read_text() == f"{os.getpid()}\n"
        with pytest.raises(LockHeld) as held, lock_file(path):
            raise AssertionError("held twice")
        assert held.value.holder == str(os.getpid())
    code = "import sys; from pathlib import Path; from proto.common.lock_file import lock_file; "
    code += "lock_file(Path(sys.argv[1])).__enter__()"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, cwd=Path(__file__).parents[3])
    with lock_file(path):
        assert path.read_text() == f"{os.getpid()}\n"


def test_lock_file_follows_no_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "other")
    with pytest.raises(OSError, match="symbolic"), lock_file(tmp_path / "lock"):
        raise AssertionError("followed")
