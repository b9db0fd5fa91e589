"""docs/reference/configuration.md matches the settings."""

from __future__ import annotations

import tomllib
from pathlib import Path

from server.settings.document import render
from server.settings.load import load
from server.settings.table import rows

DOC = Path(__file__).parents[2] / "docs" / "reference" / "configuration.md"


def test_the_page_is_up_to_date() -> None:
    assert DOC.read_text() == render(), "run docs/generate.py"


def test_every_setting_has_its_line_with_its_meaning() -> None:
    page = render()
    for row in rows().values():
        assert f"| `{row.key}` |" in page
        assert f"| `{row.variable}` |" in page
        assert row.meaning.endswith((".", "…"))


def test_the_example_file_in_the_page_is_valid(tmp_path: Path) -> None:
    example = render().split("```toml\n")[1].split("```")[0]
    assert tomllib.loads(example)
    path = tmp_path / "server.toml"
    path.write_text(example)
    assert load(path, environ={}).settings.store.kind == "mysql"
