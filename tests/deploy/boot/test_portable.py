"""The portable interpreter and everything compiled: what they link to, what they offer, and what they do not reveal."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from deploy.packages import sources
from deploy.packages.layout import PACKAGES, ROOT
from deploy.packages.nfpm import GLIBC
from deploy.packages.runtime import native

pytestmark = [pytest.mark.system, pytest.mark.boot, pytest.mark.timeout(1800)]
LIBRARIES = {
    "libstdc++": "libstdc++6",
    "libgcc_s": "libstdc++6",  # which depends on it
    **dict.fromkeys(("libc", "libm", "libpthread", "libdl", "libutil", "librt"), "libc6"),
    **dict.fromkeys(("ld-linux-x86-64", "ld-linux-aarch64"), "libc6"),
}
"""Library → the Debian package that brings it."""
MODULES = "ssl sqlite3 ctypes zlib hashlib decimal socket select mmap resource fcntl grp zoneinfo asyncio"


@pytest.fixture(scope="module")
def unpacked(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of all portable packages."""
    if list(dist.glob("*+py*")):
        pytest.skip("these packages use the system's Python")
    place = tmp_path_factory.mktemp("unpacked")
    for package in PACKAGES:
        (deb,) = dist.glob(f"{package}_*_{native()}.deb")
        subprocess.run(["dpkg-deb", "-x", deb, place], check=True)
    return place


def binaries(place: Path) -> list[Path]:
    """Every file in ELF format."""
    files = [path for path in place.rglob("*") if path.is_file() and not path.is_symlink()]
    return [path for path in files if path.read_bytes()[:4] == b"\x7fELF"]


def test_no_binary_needs_a_newer_glibc_than_the_packages_say(unpacked: Path) -> None:
    found = binaries(unpacked)
    assert len(found) > 60
    newest = {}
    for path in found:
        said = subprocess.run(["objdump", "-T", path], capture_output=True, text=True, check=True).stdout
        versions = [tuple(map(int, one.split("."))) for one in re.findall(r"GLIBC_(\d[0-9.]*)", said)]
        newest[path.name] = max(versions, default=(0,))
    floor = tuple(map(int, GLIBC.split(".")))
    assert {name: version for name, version in newest.items() if version > floor} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_depends_on_the_libraries_that_its_binaries_need(dist: Path, unpacked: Path, package: str) -> None:
    (deb,) = dist.glob(f"{package}_*_{native()}.deb")
    listed = subprocess.run(["dpkg-deb", "-c", deb], capture_output=True, text=True, check=True).stdout
    names = {line.split(maxsplit=5)[5].removeprefix("./") for line in listed.splitlines()}
    depends = subprocess.run(["dpkg-deb", "-f", deb, "Depends"], capture_output=True, text=True, check=True).stdout
    for path in binaries(unpacked):
        if str(path.relative_to(unpacked)) not in names:
            continue
        said = subprocess.run(["objdump", "-p", path], capture_output=True, text=True, check=True).stdout
        for library in re.findall(r"NEEDED +(\S+)", said):
            name = library.split(".")[0]
            assert LIBRARIES[name] in depends, f"{path} needs {library}"
        assert not [one for one in re.findall(r"R(?:UN)?PATH +(\S+)", said) if not one.startswith("$ORIGIN")], path


def test_the_interpreter_has_the_modules_and_libraries_of_the_table(unpacked: Path) -> None:
    python = unpacked / "usr/lib/clarion/runtime/bin/python3"
    script = (
        f"import {', '.join(MODULES.split())}, sys; "
        "database = sqlite3.connect(':memory:'); assert ctypes.CDLL(None).getpid() > 0; "
        "print(sys.version.split()[0], ssl.OPENSSL_VERSION.split()[1], zlib.ZLIB_RUNTIME_VERSION, "
        "*database.execute('select sqlite_version()').fetchone())"
    )
    said = subprocess.run([python, "-I", "-S", "-c", script], capture_output=True, text=True, check=True).stdout.split()
    versions = {source.name: source.version for source in sources.table()}
    assert said == [versions[name] for name in ("python", "openssl", "zlib", "sqlite")]


def test_the_server_has_its_compiled_modules(unpacked: Path) -> None:
    home = unpacked / "usr/lib/clarion/server"
    expected = {path.stem.removesuffix("_c") for path in (ROOT / "_speedups").rglob("*_c.pxd")}
    assert {path.name.split(".")[0].removesuffix("_c") for path in (home / "_speedups").rglob("*.so")} >= expected
    python = unpacked / "usr/lib/clarion/runtime/bin/python3"
    imports = "from _speedups.http2 import connection_c"
    script = f"import sys; sys.path.insert(0, {str(home)!r}); {imports}; print(connection_c.__file__)"
    said = subprocess.run([python, "-I", "-S", "-c", script], capture_output=True, text=True, check=True).stdout
    assert said.strip().endswith(".so")


def test_no_file_names_the_machine_that_built_it(unpacked: Path) -> None:
    ours = [str(ROOT).encode(), str(Path.home() / ".cache").encode(), b"/zig/", b"site-packages/ziglang"]
    files = [path for path in unpacked.rglob("*") if path.is_file() and not path.is_symlink()]
    assert [path for path in files if any(one in path.read_bytes() for one in ours)] == []
