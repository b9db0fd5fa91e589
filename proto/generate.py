"""Regenerates proto/gen and proto/command.binpb from proto/command.proto: `python proto/generate.py [folder]`.

The default folder is proto/gen. command.binpb is the schema as a google.protobuf.FileDescriptorProto for server
reflection. The generated code is committed, so that running Clarion needs no compiler;
tests/house/project/test_proto_fresh.py compares both.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROTO = Path(__file__).parent


def describe(target: Path) -> None:
    """Write the descriptor of command.proto to `target`.

    Raises:
        CalledProcessError: The compiler failed.
    """
    from google.protobuf.descriptor_pb2 import FileDescriptorSet

    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO}", f"--descriptor_set_out={target}", "command.proto"],
        check=True,
    )
    (only,) = FileDescriptorSet.FromString(target.read_bytes()).file
    target.write_bytes(only.SerializeToString(deterministic=True))


def generate(target: Path) -> None:
    """Write the betterproto code of command.proto below `target`.

    Raises:
        CalledProcessError: The compiler failed.
    """
    describe(PROTO / "command.binpb" if target == PROTO / "gen" else target / "command.binpb")
    target.mkdir(parents=True, exist_ok=True)
    plugin = Path(sys.executable).parent
    subprocess.run(
        [
            sys.executable,
            "-m",
            "grpc_tools.protoc",
            f"-I{PROTO}",
            f"--python_betterproto_out={target}",
            "command.proto",
        ],
        check=True,
        stdout=subprocess.DEVNULL,
        # protoc finds its plugin, protoc-gen-python_betterproto, on the PATH only
        env=os.environ | {"PATH": f"{plugin}{os.pathsep}{os.environ.get('PATH', '')}"},
    )


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else PROTO / "gen")
