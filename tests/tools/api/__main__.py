"""Runs `make api-check`: client generators, fuzzers and Prometheus against the API. Exit code 1: something
was found.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.tools.api import client, promtool
from tests.tools.api.fuzz import ROOT, fuzz
from tests.tools.api.site import prepare, site


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.tools.api")
    parser.add_argument("--examples", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("fuzzer", nargs="*", help="arguments for schemathesis, after --")
    asked = parser.parse_args()
    try:
        tool = promtool.find() or promtool.unpack(ROOT / ".venv" / "promtool")
    except RuntimeError as error:
        print(f"clarion: {error}")
        return 1
    wrong = []
    with tempfile.TemporaryDirectory(prefix="clarion-api-") as name, site(Path(name)) as here:
        folder = Path(name) / "generated"
        folder.mkdir()
        seen = client.run_task(here, client.generate(here, folder))
        print(f"generated client: {seen}", flush=True)
        if seen != client.WANTED:
            wrong.append("the generated client")
        prepare(here)
        if found := promtool.check(tool, here.read("/metrics")):
            wrong.append("promtool, before")
        print(f"promtool check metrics: {found or 'clean'}", flush=True)
        code, _ = fuzz(here, asked.examples, asked.seed, asked.fuzzer)
        if code != 0:
            wrong.append("schemathesis")
        if found := promtool.check(tool, here.read("/metrics")):
            wrong.append("promtool, after")
        print(f"promtool check metrics, after the fuzzer: {found or 'clean'}")
        if code != 0 or not here.rig.server.alive():  # type: ignore[union-attr]
            print(here.rig.log())
    print(f"api-check: {'found: ' + ', '.join(wrong) if wrong else 'clean'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
