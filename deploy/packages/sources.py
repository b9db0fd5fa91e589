"""Source archives of the portable interpreter: found in a folder or in the pool of Debian's archive, and verified."""

from __future__ import annotations

import hashlib
import re
import shutil
import tarfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from deploy.packages.failure import PackagingFailed, program, run
from deploy.packages.layout import HERE

TABLE = HERE / "runtime" / "sources.toml"


@dataclass(frozen=True)
class Source:
    """One archive of the table; the fields are those of sources.toml."""

    name: str
    version: str
    debian: str
    archive: str
    sha256: str
    licence: str
    licence_file: str


def table() -> list[Source]:
    """Return the sources of the interpreter."""
    return [Source(name=name, **values) for name, values in tomllib.loads(TABLE.read_text()).items()]


def collect(into: Path, given: Path | None) -> None:
    """Put every archive into a folder.

    Args:
        into: The folder; archives that are already there are verified and kept.
        given: A folder with the archives, for machines without a package mirror; None to download them.

    Raises:
        PackagingFailed: bad_source, or a program is missing or failed.
    """
    into.mkdir(parents=True, exist_ok=True)
    missing = [source for source in table() if not (into / source.archive).is_file()]
    if given is not None:
        for source in missing:
            if not (given / source.archive).is_file():
                raise PackagingFailed(
                    "bad_source", f"{given} does not contain {source.archive}", f"put the archives of {TABLE} there"
                )
            shutil.copy2(given / source.archive, into / source.archive)
    elif missing:
        _download(into, missing)
    for source in table():
        verify(into / source.archive, source.sha256)


def verify(path: Path, sha256: str) -> None:
    """Compare an archive with the table.

    Raises:
        PackagingFailed: bad_source.
    """
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise PackagingFailed(
            "bad_source",
            f"{path.name} has the sha256 {found}, not {sha256}",
            f"remove {path}; if the new archive is meant, change {TABLE}",
        )


def unpack(archives: Path, into: Path) -> None:
    """Unpack every archive into a folder of its name."""
    for source in table():
        place = into / source.name
        if (place / ".unpacked").exists():
            continue
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        with tarfile.open(archives / source.archive) as archive:
            archive.extractall(place, members=_stripped(archive), filter="data")
        (place / ".unpacked").touch()


def _stripped(archive: tarfile.TarFile) -> list[tarfile.TarInfo]:
    """The members without the archive's top folder."""
    members = []
    for member in archive.getmembers():
        _, slash, rest = member.name.partition("/")
        if slash and rest:
            member.name = rest
            if member.islnk():
                member.linkname = member.linkname.partition("/")[2]
            members.append(member)
    return members


def _download(into: Path, wanted: list[Source]) -> None:
    """Download archives from the pool of the mirror that this machine's apt uses.

    The pool is asked by file name, without a suite's index: it keeps an archive as long as any suite contains it.
    """
    helper = program("apt-helper", "apt, or give the archives with --sources", "/usr/lib/apt")
    pool = f"{mirror()}/pool/main"
    for source in wanted:
        prefix = source.debian[:4] if source.debian.startswith("lib") else source.debian[0]
        fresh = into / f"{source.archive}.new"
        address = f"{pool}/{prefix}/{source.debian}/{quote(source.archive)}"
        try:
            run([helper, "download-file", address, fresh, f"SHA256:{source.sha256}"])
        except PackagingFailed as error:
            raise PackagingFailed(
                "bad_source",
                f"{address} cannot be downloaded:\n{error.message}",
                f"if the mirror has another version now, update {TABLE}; or give the archive's folder with --sources",
            ) from error
        fresh.rename(into / source.archive)


def mirror(sources: Path = Path("/etc/apt")) -> str:
    """Return the address of Debian's archive as this machine's apt names it.

    Raises:
        PackagingFailed: bad_source, if there is none.
    """
    lists = [sources / "sources.list", *sorted((sources / "sources.list.d").glob("*"))]
    for path in lists:
        text = path.read_text() if path.is_file() else ""
        found = re.search(r"^deb\s+(?:\[.*?\]\s+)?(\S+/debian)/?\s", text, re.M) or re.search(
            r"^URIs:\s*(\S+/debian)/?\s*$", text, re.M
        )
        if found is not None:
            return found.group(1)
    raise PackagingFailed("bad_source", f"{sources} names no Debian archive", "give the archives with --sources")
