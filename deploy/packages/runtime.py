"""The interpreter that the packages contain.

`portable` is a CPython for glibc 2.17 and newer, built with zig; the build takes about 8 minutes and is cached by the
hash of everything that goes into it. `system` is a link to a Python of the target system: its packages install only
where that Python is, and serve tests and continuous integration.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from deploy.packages import sources
from deploy.packages.failure import PackagingFailed, program, run
from deploy.packages.layout import ARCHITECTURES, HERE

KINDS = ("portable", "system")
STRIP = {
    "amd64": ("x86_64-linux-gnu-strip", "binutils-x86-64-linux-gnu"),
    "arm64": ("aarch64-linux-gnu-strip", "binutils-aarch64-linux-gnu"),
}
"""Architecture → the program that strips its binaries, and its Debian package."""
UNUSED = (
    "config-*",
    "ensurepip",
    "idlelib",
    "lib2to3",
    "pydoc_data",
    "test",
    "tkinter",
    "turtledemo",
    "turtle.py",
    "_pyrepl",
    "__phello__",
    "site-packages/*",
    "lib-dynload/_test*",
    "lib-dynload/_xxtest*",
    "lib-dynload/xx*",
    "lib-dynload/_ctypes_test*",
)
"""Parts of the standard library that no program of Clarion uses, relative to lib/pythonX.Y."""


@dataclass(frozen=True)
class Runtime:
    """An interpreter for one architecture.

    Attributes:
        kind: `portable` or `system`.
        arch: Debian's name of the architecture.
        minor: Version of Python, such as `3.13`.
        tree: Its files, installed as PREFIX/runtime; None for `system`.
        headers: Folder with Python.h, which compiled modules need; None for `system`.
        executable: A Python of this version that runs here, which compiles bytecode and renders manual pages.
    """

    kind: str
    arch: str
    minor: str
    tree: Path | None
    headers: Path | None
    executable: Path

    @property
    def platforms(self) -> list[str]:
        """Wheel platforms that it accepts, newest first; none: those of the running Python."""
        if self.kind == "system":
            return []
        machine = ARCHITECTURES[self.arch]
        return [f"manylinux2014_{machine}", f"manylinux_2_17_{machine}"]

    @property
    def suffix(self) -> str:
        """Local part of the packages' version: packages for one system's Python can be told from portable ones."""
        return "" if self.kind == "portable" else f"+py{self.minor.replace('.', '')}"


def native() -> str:
    """Debian's name of this machine's architecture."""
    names = {kernel: debian for debian, kernel in ARCHITECTURES.items()}
    try:
        return names[platform.machine()]
    except KeyError:
        raise PackagingFailed(
            "bad_option", f"{platform.machine()} is not a supported architecture", f"build on {' or '.join(names)}"
        ) from None


def system() -> Runtime:
    """Return the runtime that is this process's own Python."""
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    return Runtime("system", native(), minor, None, None, Path(sys.executable))


def key(arch: str) -> str:
    """Return the hash of everything that decides what the portable interpreter is."""
    digest = hashlib.sha256()
    for path in (HERE / "runtime" / "build.sh", sources.TABLE):
        digest.update(path.read_bytes())
    digest.update(f"{arch} ziglang={_zig_version()} {' '.join(UNUSED)}".encode())
    return digest.hexdigest()[:20]


def portable(arch: str, cache: Path, given: Path | None) -> Runtime:
    """Return the portable interpreter from the cache, and build it first if it is not there.

    Args:
        arch: Debian's name of the architecture.
        cache: Folder of the cache.
        given: Folder with the source archives; None to download them.

    Raises:
        PackagingFailed: A source or a program is missing, or the build failed.
    """
    minor = next(source.version for source in sources.table() if source.name == "python").rpartition(".")[0]
    made = cache / f"{arch}-{key(arch)}"
    if not (made / "complete").exists():
        work = cache / f"build-{arch}-{key(arch)}"
        sources.collect(cache / "archives", given)
        sources.unpack(cache / "archives", work / "sources")
        build_python = Path(program(f"python{minor}", f"Python {minor}")) if arch != native() else Path(sys.executable)
        print(
            f"packages: building the interpreter for {arch} once; it takes about 8 minutes", file=sys.stderr, flush=True
        )
        run(
            [
                *("sh", HERE / "runtime" / "build.sh", work / "sources", work, work / "out"),
                *(ARCHITECTURES[arch], build_python, sys.executable),
            ],
            env={"SOURCE_DATE_EPOCH": os.environ.get("SOURCE_DATE_EPOCH", "0")},
        )
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True)
        (work / "out" / "include" / f"python{minor}").rename(made / "headers")
        _licences(work / "sources", work / "out" / "licences")
        trim(work / "out", minor, arch)
        (work / "out").rename(made / "tree")
        (made / "complete").touch()
        shutil.rmtree(work)
    own = made / "tree" / "bin" / f"python{minor}"
    executable = own if arch == native() else Path(program(f"python{minor}", f"Python {minor}"))
    return Runtime("portable", arch, minor, made / "tree", made / "headers", executable)


def trim(tree: Path, minor: str, arch: str) -> None:
    """Remove from an installed Python what no program of Clarion uses, and strip its binaries."""
    library = tree / "lib" / f"python{minor}"
    for pattern in UNUSED:
        for path in library.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in [tree / "include", tree / "share", tree / "lib" / "pkgconfig", *tree.glob("lib/*.a")]:
        if path.is_dir():
            shutil.rmtree(path)
        elif path.exists():
            path.unlink()
    for path in (tree / "bin").iterdir():
        if path.name != f"python{minor}":
            path.unlink()
    (tree / "bin" / "python3").symlink_to(f"python{minor}")
    for folder in [*library.rglob("__pycache__")]:
        shutil.rmtree(folder)
    strip = program(*STRIP[arch])
    for path in [tree / "bin" / f"python{minor}", *library.rglob("*.so")]:
        run([strip, "--strip-unneeded", path])


def _licences(unpacked: Path, into: Path) -> None:
    """Keep the licence text of each source with the interpreter."""
    into.mkdir(parents=True)
    for source in sources.table():
        shutil.copyfile(unpacked / source.name / source.licence_file, into / source.name)


def _zig_version() -> str:
    try:
        return metadata.version("ziglang")
    except metadata.PackageNotFoundError as error:
        raise PackagingFailed(
            "missing_program",
            "the package ziglang, the C compiler of the portable interpreter, is not installed",
            "use the target of the Makefile, or install '.[packages]'",
        ) from error
