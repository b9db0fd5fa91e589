"""The documentation says what the code does."""

from __future__ import annotations

import importlib.util
import re
from functools import cache
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from agent.settings import Settings as AgentSettings
from proto.reasons import REASONS
from server.core.states import EXECUTION_STEPS, TASK_STEPS
from server.errors import PROBLEMS
from server.settings.table import rows

ROOT = Path(__file__).parents[2]
DRAWN = (
    "reference/states.md",
    "reference/errors.md",
    "reference/reasons.md",
    "reference/configuration.md",
    "reference/commands.md",
    "reference/server-commands.md",
    "reference/agent-commands.md",
    "reference/metrics.md",
    "reference/log-events.md",
    "reference/routes.md",
    "reference/objects.md",
    "capabilities.md",
    "design/guarantees.md",
)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")
CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs/generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", DRAWN)
def test_a_drawn_page_is_up_to_date(generator: ModuleType, page: str) -> None:
    assert (ROOT / "docs" / page).read_text() == generator.PAGES[page](), (
        "run 'python docs/generate.py' and commit the result"
    )


def test_every_drawn_page_is_compared(generator: ModuleType) -> None:
    assert set(generator.PAGES) == set(DRAWN)


def test_every_setting_is_documented() -> None:
    page = (ROOT / "docs/reference/configuration.md").read_text()
    assert [key for key in rows() if f"`{key}`" not in page] == []


def test_every_setting_of_the_agent_is_documented_with_its_default() -> None:
    page = (ROOT / "docs/guide/agents.md").read_text()
    documented = dict(re.findall(r"^\| `(\w+)` \| `?([^`|]*?)`? \|", page, re.MULTILINE))
    assert set(documented) == {field.name for field in msgspec.structs.fields(AgentSettings)}
    numbers = {
        field.name: field.default
        for field in msgspec.structs.fields(AgentSettings)
        if isinstance(field.default, int | float) and field.default is not False
    }
    assert {name: float(documented[name]) for name in numbers} == numbers


@pytest.mark.capability("E5")
def test_every_error_and_every_reason_is_documented() -> None:
    errors, reasons = (ROOT / "docs/reference/errors.md").read_text(), (ROOT / "docs/reference/reasons.md").read_text()
    assert [code for code in PROBLEMS if f"| `{code}` |" not in errors] == []
    assert [code for code in REASONS if f"| `{code}` |" not in reasons] == []


def test_every_step_of_the_state_tables_is_a_row() -> None:
    page = (ROOT / "docs/reference/states.md").read_text()
    for table in (TASK_STEPS, EXECUTION_STEPS):
        for (old, step), new in table.items():
            row = rf"^\| `{old.label}` \| .*\b{step.name.lower()}\b.* \| `{new.label}` \|$"
            assert re.search(row, page, re.MULTILINE), (old, step, new)


def test_every_message_of_the_protocol_is_explained() -> None:
    kinds = re.findall(
        r"^    (\w+) \w+ = \d+;",
        (ROOT / "proto/command.proto").read_text().split("message CommandContent")[0],
        re.MULTILINE,
    )
    assert len(kinds) == 15
    page = (ROOT / "docs/design/protocol.md").read_text()
    assert [kind for kind in kinds if not any(kind in heading for heading in HEADING.findall(page))] == []


@cache
def anchors(page: Path) -> frozenset[str]:
    """The anchors of a page's headings, as GitHub and MyST make them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    made = [re.sub(r"[^\w\- ]", "", heading.lower().strip()).replace(" ", "-") for heading in HEADING.findall(text)]
    return frozenset(made)


def test_links_between_pages_lead_somewhere(files: list[Path], root: Path) -> None:
    broken = []
    for page in (path for path in files if path.suffix == ".md"):
        for target, anchor in LINK.findall(CODE.sub("", (root / page).read_text())):
            place = root / page.parent / target if target else root / page
            if not place.exists() or (anchor and place.suffix == ".md" and anchor not in anchors(place)):
                broken.append(f"{page}: {target}#{anchor}")
    assert not broken, "\n" + "\n".join(broken)


PLACE = re.compile(r"`((?:server|agent|proto|tests|deploy|loadtest|docs|_speedups)/[\w./-]*\w/?)`")


def test_files_and_folders_that_pages_name_exist(files: list[Path], root: Path) -> None:
    pages = [
        page
        for page in files
        if page.suffix == ".md" and "measurements" not in page.parts and page.name != "CHANGELOG.md"
    ]
    missing = [
        f"{page}: {place}"
        for page in pages
        for place in PLACE.findall((root / page).read_text())
        if not (root / place).exists()
    ]
    assert not missing, "\n" + "\n".join(missing)


LOGGED = {
    "docs/guide/agents.md": ("limit_too_low", "execution_lookup_failed"),
    "docs/guide/operations.md": (
        "executions_missing",
        "stored_numbers_replaced",
        "stored_value_skipped",
    ),
    "docs/design/security.md": ("connection_refused", "enrolment_refused"),
}
"""page → the log events that it names"""


@pytest.mark.parametrize("page", LOGGED)
def test_log_events_that_pages_name_are_logged(page: str) -> None:
    source = "\n".join(file.read_text() for room in ("server", "agent") for file in sorted((ROOT / room).rglob("*.py")))
    text = (ROOT / page).read_text()
    assert [event for event in LOGGED[page] if f"`{event}`" not in text or f'"{event}"' not in source] == []
