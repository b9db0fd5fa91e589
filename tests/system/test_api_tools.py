"""The API as its users' tools see it: a generated client, a fuzzer, promtool. `make api-check` does the same at
length."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools.api import client, promtool
from tests.tools.api.fuzz import fuzz
from tests.tools.api.site import Site, prepare, site

ROUTES = r"/(hosts|run|states|replace|join-tokens|output|ready)$"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("api")) as made:
        yield made


@pytest.mark.capability("V7")
def test_a_client_generated_with_the_read_only_token_runs_a_task(here: Site, tmp_path: Path) -> None:
    assert client.run_task(here, client.generate(here, tmp_path)) == client.WANTED


@pytest.mark.capability("D14", "N3")
def test_promtool_finds_nothing_in_the_metrics(here: Site) -> None:
    tool = promtool.find()
    if tool is None:
        pytest.skip(f"promtool is not there; Debian's package {promtool.PACKAGE} brings it")
    assert promtool.check(tool, b"# TYPE clarion_x counter\nclarion_x 1\n"), "it finds what is wrong"
    assert promtool.check(tool, here.read("/metrics")) == ""


@pytest.mark.capability("V7")
def test_a_fuzzer_finds_nothing(here: Site) -> None:
    prepare(here)
    code, said = fuzz(here, 3, 1, ["--phases", "examples,fuzzing", "--include-path-regex", ROUTES], quiet=True)
    assert code == 0, said
    assert here.rig.server is not None and here.rig.server.alive()
