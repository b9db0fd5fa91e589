"""Runs the real h2spec in strict mode against an agent port: `make h2spec`, with h2spec on the PATH or H2SPEC=path.

h2spec is a Go program: `go install github.com/summerwind/h2spec/cmd/h2spec@latest`, or a release from its page on
GitHub.
Further arguments are its own, e.g. `make h2spec ARGS=http2/6.9`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from tests.tools.h2.serving import serving


def main(arguments: list[str]) -> int:
    """h2spec's exit code; 2 if there is none."""
    tool = shutil.which(os.environ.get("H2SPEC") or "h2spec")
    if tool is None:
        print(__doc__, file=sys.stderr)
        print(
            "clarion: no h2spec found; tests/tools/h2 holds the same cases ('make test ARGS=tests/tools/h2')",
            file=sys.stderr,
        )
        return 2
    with serving(plain=os.environ.get("CLARION_PURE", "0")) as port:
        return subprocess.run(
            [tool, "--strict", "--host", "127.0.0.1", "--port", str(port), *arguments], check=False
        ).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
