"""Files are short, say one thing and are finished."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from pathlib import Path

import pytest

MEDIAN, CEILING, FOLDER = 150, 400, 15
CODE = {".py", ".pyx", ".pxd", ".pyi", ".sql", ".js", ".css", ".html", ".sh"}
TEXT = CODE | {".md", ".proto", ".toml", ".yml", ".yaml", ".service", ""}
GENERATED = ("proto/gen/", "server/web/page/static/vendor/", "tests/web/vendor/")

# Put together here, so that this file does not contain what it forbids.
UNFINISHED = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "simpli" + "fied")) + r")\b")
ASSISTANTS = re.compile(
    r"\b("
    + "|".join(("clau" + "de", "anthro" + "pic", "chat" + "gpt", "open" + "ai", "co" + "pilot", "gem" + "ini"))
    + r")\b",
    re.IGNORECASE,
)


def written(files: list[Path], suffixes: set[str]) -> list[Path]:
    return [
        path
        for path in files
        if path.suffix in suffixes and not str(path).startswith(GENERATED) and path.name != "LICENSE"
    ]


@pytest.fixture(scope="session")
def lengths(files: list[Path], root: Path) -> dict[Path, int]:
    counted = {path: len((root / path).read_text().splitlines()) for path in written(files, CODE)}
    return {path: lines for path, lines in counted.items() if lines}


def test_no_file_is_too_long(lengths: dict[Path, int]) -> None:
    too_long = {str(path): lines for path, lines in lengths.items() if lines > CEILING}
    assert not too_long, f"more than {CEILING} lines: split by what they say"


def test_no_folder_holds_too_many_sources(files: list[Path]) -> None:
    sources = [path for path in written(files, {".py", ".js"}) if path.name != "__init__.py"]
    full = {str(folder): count for folder, count in Counter(path.parent for path in sources).items() if count > FOLDER}
    assert not full, f"more than {FOLDER} sources: make folders of what belongs together"


def test_the_middle_file_is_short(lengths: dict[Path, int]) -> None:
    assert statistics.median(lengths.values()) <= MEDIAN


@pytest.mark.parametrize("words", [UNFINISHED, ASSISTANTS], ids=["marks of unfinished work", "names of writing tools"])
def test_no_file_contains(files: list[Path], root: Path, words: re.Pattern[str]) -> None:
    found = [
        f"{path}:{number}: {match.group()}"
        for path in written(files, TEXT)
        for number, line in enumerate((root / path).read_text().splitlines(), 1)
        if (match := words.search(line))
    ]
    assert not found, "\n" + "\n".join(found)
