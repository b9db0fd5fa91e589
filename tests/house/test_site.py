"""The documentation site: it builds without a warning and without a network, and everything that a user can look up is
in it."""

from __future__ import annotations

import html
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import click
import pytest

from agent.main import cli as agent
from docs.drawing.commands import verbs
from docs.drawing.metrics import declared
from docs.drawing.routes import operations
from proto.reasons import REASONS
from server.admin.main import cli as server
from server.cli.main import cli as client
from server.errors import PROBLEMS
from server.settings.renamed import current_names
from server.settings.table import rows

ROOT = Path(__file__).parents[2]
ELSEWHERE = re.compile(r"<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)=[\"'](?:https?:)?//[^\"']+", re.IGNORECASE)
TAG = re.compile(r"<[^>]+>")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it; every link inside it is resolved, or the build fails."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-n", "-b", "html"]
    built = subprocess.run([*command, str(ROOT / "docs"), str(folder)], capture_output=True, text=True, timeout=110)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


@cache
def text_of(page: Path) -> str:
    return html.unescape(TAG.sub("", page.read_text()))


def missing(site: Path, page: str, texts: list[str]) -> list[str]:
    """The texts that a page does not show as words of their own."""
    shown = text_of(site / f"reference/{page}.html")
    return [text for text in texts if not re.search(rf"(?<![\w./-]){re.escape(text)}(?![\w-])", shown)]


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 25
    assert [(page.name, found[0]) for page in pages if (found := ELSEWHERE.search(page.read_text()))] == []


def test_the_search_knows_every_page(site: Path) -> None:
    index = (site / "searchindex.js").read_text()
    pages = [str(page.relative_to(ROOT / "docs").with_suffix("")) for page in (ROOT / "docs").rglob("*.md")]
    assert [page for page in pages if f'"{page}"' not in index] == []


def test_every_setting_is_in_the_site(site: Path) -> None:
    assert missing(site, "configuration", [*rows(), *current_names()]) == []


def test_every_error_and_reason_is_in_the_site(site: Path) -> None:
    assert missing(site, "errors", list(PROBLEMS)) == []
    assert missing(site, "reasons", list(REASONS)) == []


def test_every_metric_is_in_the_site(site: Path) -> None:
    names = [name for name, *_ in declared()]
    assert len(names) > 20 and missing(site, "metrics", names) == []


@pytest.mark.parametrize(
    ("group", "name", "page"),
    [
        (client, "clarion", "commands"),
        (server, "clarion-server", "server-commands"),
        (agent, "clarion-agent", "agent-commands"),
    ],
)
def test_every_verb_and_option_is_in_the_site(site: Path, group: click.Group, name: str, page: str) -> None:
    found = list(verbs(group, name))
    options = [
        option
        for _, command in found
        for parameter in command.params
        if isinstance(parameter, click.Option) and not parameter.hidden
        for option in parameter.opts
    ]
    assert found and missing(site, page, [path for path, _ in found]) == []
    assert [option for option in set(options) if option not in text_of(site / f"reference/{page}.html")] == []


def test_every_route_is_in_the_site(site: Path) -> None:
    routes = [f"{method} {path}" for method, path, _ in operations()]
    assert len(routes) > 40 and missing(site, "routes", routes) == []
