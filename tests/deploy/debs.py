"""Deb packages of another version, and keys that sign repositories."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


def repacked(deb: Path, first: str, into: Path) -> Path:
    """Make the same package with another first number in its version.

    Args:
        deb: The package.
        first: The number that replaces the first one of its version.
        into: Folder for the new package.
    """
    into.mkdir(parents=True, exist_ok=True)
    tree = into / f"{deb.stem}-tree"
    subprocess.run(["dpkg-deb", "-R", deb, tree], check=True)
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"^Version: \d+", f"Version: {first}", control.read_text(), flags=re.M))
    subprocess.run(["dpkg-deb", "-Zgzip", "-z1", "-b", tree, into], check=True, capture_output=True)
    shutil.rmtree(tree)
    name, _, rest = deb.name.partition("_")
    return into / f"{name}_{re.sub(r'^[0-9]+', first, rest)}"


@dataclass(frozen=True)
class Key:
    """A signing key in a keyring of its own."""

    home: Path
    fingerprint: str


@contextmanager
def signing_key() -> Iterator[Key]:
    """Make a key that exists while the block runs."""
    home = Path(tempfile.mkdtemp(prefix="clarion-gpg-", dir="/tmp"))  # gpg-agent's socket wants a short path
    env = os.environ | {"GNUPGHOME": str(home)}
    gpg = ["gpg", "--batch", "--quiet", "--passphrase", "", "--quick-generate-key", "release@clarion.example"]
    try:
        subprocess.run([*gpg, "ed25519", "sign", "never"], env=env, check=True)
        listed = subprocess.run(
            ["gpg", "--batch", "--with-colons", "--list-keys"], env=env, capture_output=True, text=True, check=True
        ).stdout
        yield Key(home, next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr:")))
    finally:
        subprocess.run(["gpgconf", "--kill", "gpg-agent"], env=env, check=False)
        shutil.rmtree(home, ignore_errors=True)
