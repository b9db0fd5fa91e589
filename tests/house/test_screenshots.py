"""The pictures in the documentation are all there, and small."""

from __future__ import annotations

from pathlib import Path

from tests.web.screenshots import LOOKS, PAGES

EACH, ALL = 200_000, 3_000_000


def test_every_page_is_pictured_in_every_look_and_shown(root: Path) -> None:
    folder, page = root / "docs/images", (root / "docs/guide/page.md").read_text()
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert set(sizes) == {f"{name}-{look}.png" for name in PAGES for look in LOOKS}
    assert [name for name, size in sizes.items() if not 2_000 < size <= EACH] == [] and sum(sizes.values()) <= ALL
    assert [name for name in sizes if f"(../images/{name})" not in page] == []
