"""The root file tree of each package, as it will be installed."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import sys
import time
from pathlib import Path

from deploy.packages import bill, payload
from deploy.packages.failure import run
from deploy.packages.layout import (
    AGENT,
    AGENT_UNITS,
    HERE,
    MAINTAINER,
    PREFIX,
    ROOT,
    RUNTIME_PACKAGE,
    SERVER,
    UNITS,
    Program,
)
from deploy.packages.runtime import Runtime, native

COMPLETIONS = {
    "bash": "usr/share/bash-completion/completions/{0}",
    "zsh": "usr/share/zsh/vendor-completions/_{0}",
    "fish": "usr/share/fish/vendor_completions.d/{0}.fish",
}
UNIT_FOLDER = "usr/lib/systemd/system"
EPOCH = "SOURCE_DATE_EPOCH"


def epoch() -> int:
    """Seconds since 1970 that stand in the packages: SOURCE_DATE_EPOCH, else the time of the last commit."""
    given = os.environ.get(EPOCH)
    return int(given) if given else int(run(["git", "log", "-1", "--format=%ct"], cwd=ROOT).strip() or 0)


def program_tree(program: Program, runtime: Runtime, clarion: Path, version: str, into: Path) -> list[bill.Part]:
    """Make the file tree of a program's package.

    Returns:
        The libraries that it contains.

    Raises:
        PackagingFailed: pip failed, or the program's folder lacks something that it imports.
    """
    shutil.rmtree(into, ignore_errors=True)
    home = into / program.home.relative_to("/")
    payload.install(program, runtime, clarion, home)
    put(into / "usr/bin" / program.command, payload.launcher(program), 0o755)
    _manual(program, runtime, home, version, into)
    for source, place in unit_files(program).items():
        put(into / place, source.read_text())
    parts = bill.of_program(home)
    _documents(program.package, version, parts, into)
    stamp(into)
    return parts


def runtime_tree(runtime: Runtime, version: str, into: Path) -> list[bill.Part]:
    """Make the file tree of clarion-runtime and return what it is built from."""
    shutil.rmtree(into, ignore_errors=True)
    place = into / (PREFIX / "runtime").relative_to("/")
    if runtime.tree is None:
        (place / "bin").mkdir(parents=True)
        (place / "bin" / "python3").symlink_to(f"../../../../bin/python{runtime.minor}")
    else:
        shutil.copytree(runtime.tree, place, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        compiler: list[str | Path] = [runtime.executable, "-I", "-m", "compileall", "-q"]
        names: tuple[str | Path, ...] = ("-s", place, "-p", PREFIX / "runtime")
        run([*compiler, *names, "--invalidation-mode", "unchecked-hash", place / "lib"])
    parts = bill.of_runtime(runtime)
    _documents(RUNTIME_PACKAGE, version, parts, into)
    stamp(into)
    return parts


def unit_files(program: Program) -> dict[Path, str]:
    """Return source and place of the systemd files of a program."""
    if program is AGENT:
        return {path: f"{UNIT_FOLDER}/{path.name}" for path in sorted((UNITS / AGENT_UNITS).iterdir())}
    if program is SERVER:
        units = [*UNITS.glob("*.service"), *UNITS.glob("*.timer")]
        return {
            **{path: f"{UNIT_FOLDER}/{path.name}" for path in sorted(units)},
            UNITS / "sysusers.d/clarion-server.conf": "usr/lib/sysusers.d/clarion-server.conf",
            UNITS / "tmpfiles.d/clarion-server.conf": "usr/lib/tmpfiles.d/clarion-server.conf",
            UNITS / "examples/mysql-password.conf": "usr/share/doc/clarion-server/examples/mysql-password.conf",
        }
    return {}


def put(path: Path, text: str | bytes, mode: int = 0o644) -> None:
    """Write a file and its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(mode)


def compressed(text: str) -> bytes:
    """Return text as gzip without a time and a name."""
    return gzip.compress(text.encode(), compresslevel=9, mtime=0)


def _manual(program: Program, runtime: Runtime, home: Path, version: str, into: Path) -> None:
    """Render manual page and completions with the packaged files, where this machine can run them."""
    date = time.strftime("%Y-%m-%d", time.gmtime(epoch()))
    script = HERE / "manual.py"
    words: list[str | Path]
    if runtime.arch == native():
        words = [runtime.executable, "-I", "-S", "-X", "utf8", script, home]
    else:
        words = [sys.executable, "-X", "utf8", script, ROOT]
    rendered = json.loads(run([*words, program.group, program.command, version, date]))
    put(into / f"usr/share/man/man1/{program.command}.1.gz", compressed(rendered["man"]))
    for shell, place in COMPLETIONS.items():
        put(into / place.format(program.command), rendered[shell])


def _documents(package: str, version: str, parts: list[bill.Part], into: Path) -> None:
    when = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(epoch()))
    place = into / "usr/share/doc" / package
    put(place / "copyright", bill.copyright_file(package, parts))
    put(place / "sbom.cdx.json.gz", compressed(bill.sbom(package, version, parts)))
    change = (
        f"{package} ({version}) stable; urgency=medium\n\n  * Release {version}; see CHANGELOG.md of the source.\n\n"
    )
    put(place / "changelog.Debian.gz", compressed(f"{change} -- {MAINTAINER}  {when}\n"))
    overrides = HERE / "lintian" / package
    if overrides.exists():
        put(into / "usr/share/lintian/overrides" / package, overrides.read_text())


def stamp(tree: Path) -> None:
    """Give every file and folder the time of the build's sources, so that two builds are equal."""
    when = epoch()
    for path in [*tree.rglob("*"), tree]:
        os.utime(path, (when, when), follow_symlinks=False)
