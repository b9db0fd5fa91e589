"""Regenerates proto/gen from proto/command.proto: `python proto/generate.py [folder]` (default: proto/gen).

The generated code is committed, so that running Clarion needs no compiler; tests/house/test_proto_fresh.py compares.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROTO = Path(__file__).parent


def generate(target: Path) -> None:
    """Write the betterproto code of command.proto below `target`. Raises CalledProcessError."""
    target.mkdir(parents=True, exist_ok=True)
    plugin = Path(sys.executable).parent
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO}", f"--python_betterproto_out={target}", "command.proto"],
        check=True,
        stdout=subprocess.DEVNULL,
        # protoc finds its plugin, protoc-gen-python_betterproto, on the PATH only
        env=os.environ | {"PATH": f"{plugin}{os.pathsep}{os.environ.get('PATH', '')}"},
    )


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else PROTO / "gen")
