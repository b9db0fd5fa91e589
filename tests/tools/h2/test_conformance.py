"""Strict HTTP/2 conformance of the agent port, with both implementations of the fast path.

docs/design/protocol.md lists the sections. One server serves all cases; each case uses its own connection.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools.h2 import frames, generic, messages, streams
from tests.tools.h2.serving import serving
from tests.tools.h2.wire import Case, Client

CONFORMANCE = [*generic.CASES, *streams.CASES, *frames.CASES, *messages.HTTP, *messages.HPACK]
CASES = [*CONFORMANCE, *messages.GRPC]
AT_LEAST = 147
"""Number of cases of h2spec 2.6 in strict mode; each of them has one here."""


@pytest.fixture(scope="module", params=["0", "1"], ids=["built", "plain"])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    with serving(plain=request.param) as found:
        yield found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_agent_port_conforms(port: int, case: Case) -> None:
    client = Client(port)
    try:
        if case.greet:
            client.greet()
        for step in case.steps:
            if isinstance(step, bytes):
                client.send(step)
            else:
                step(client)
    finally:
        client.close()


def test_the_page_lists_every_section() -> None:
    page = (Path(__file__).parents[3] / "docs/design/protocol.md").read_text()
    table = page.partition("### Conformance")[2].partition("## A command")[0]
    listed = {name: int(count) for name, count in re.findall(r"\| ([a-z0-9. ]+?) \| (\d+) (?=\|)", table)}
    assert listed == Counter(case.section for case in CASES)


def test_the_cases_are_as_many_as_those_of_h2spec_and_distinct() -> None:
    assert len(CONFORMANCE) >= AT_LEAST
    assert [name for name, count in Counter(case.id for case in CASES).items() if count > 1] == []
