"""The committed code of proto/gen is what proto/command.proto generates."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

ROOT = Path(__file__).parents[3]


def sources(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*.py"))}


@pytest.mark.capability("Z12")
def test_proto_gen_equals_the_output_of_the_generator(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(ROOT / "proto/generate.py"), str(tmp_path)], check=True)
    assert sources(tmp_path) == sources(ROOT / "proto/gen"), "run 'make proto' and commit the result"
    fresh = FileDescriptorProto.FromString((tmp_path / "command.binpb").read_bytes())
    assert fresh == FileDescriptorProto.FromString((ROOT / "proto/command.binpb").read_bytes()), (
        "run 'make proto' and commit the result"
    )
