"""The agent in one file, for hosts without a package manager: a shell script with a compressed archive behind it."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from pathlib import Path

from deploy.packages.layout import AGENT, ARCHITECTURES, HERE, PREFIX
from deploy.packages.stage import epoch

STUB = HERE / "stub.sh"
END = "@END@\n"


def build(runtime_tree: Path, agent_tree: Path, version: str, arch: str, out: Path) -> Path:
    """Make the file.

    Args:
        runtime_tree: File tree of clarion-runtime.
        agent_tree: File tree of clarion-agent.
        version: Clarion's version.
        arch: Debian's name of the architecture.
        out: Folder for the file.
    """
    archive = pack(
        {
            "runtime": runtime_tree / (PREFIX / "runtime").relative_to("/"),
            "agent": agent_tree / AGENT.home.relative_to("/"),
        }
    )
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"clarion-agent-{version}-linux-{ARCHITECTURES[arch]}.run"
    path.write_bytes(stub(archive, version, arch).encode() + archive)
    path.chmod(0o755)
    return path


def stub(archive: bytes, version: str, arch: str) -> str:
    """Return the script for an archive."""
    text = STUB.read_text()
    assert text.endswith(END)
    text = text.removesuffix(END)
    digest = hashlib.sha256(archive).hexdigest()
    values = {
        "VERSION": version,
        "ID": digest[:8],
        "SHA256": digest,
        "ARCH": ARCHITECTURES[arch],
        "LINE": str(text.count("\n") + 1),
    }
    for word, value in values.items():
        text = text.replace(f"@{word}@", value)
    return text


def pack(folders: dict[str, Path]) -> bytes:
    """Return a gzip-compressed tar archive of folders; equal input gives equal bytes.

    gzip, not xz: a small host may have no xz.
    """
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, folder in folders.items():
            for path in [folder, *sorted(folder.rglob("*"))]:
                member = archive.gettarinfo(path, f"{name}/{path.relative_to(folder)}" if path != folder else name)
                member.uid = member.gid = 0
                member.uname = member.gname = "root"
                member.mtime = epoch()
                if member.isreg():
                    with path.open("rb") as file:
                        archive.addfile(member, file)
                else:
                    archive.addfile(member)
    return gzip.compress(packed.getvalue(), compresslevel=9, mtime=0)
