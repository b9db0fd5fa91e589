"""The folder of one program: its libraries, its part of the source tree, bytecode, and the module that starts it."""

from __future__ import annotations

import shutil
import sys
import zipfile
from pathlib import Path

from deploy.packages.failure import PackagingFailed, run
from deploy.packages.failure import program as program_path
from deploy.packages.layout import ARCHITECTURES, PROGRAMS, ROOT, Program, requirements
from deploy.packages.runtime import STRIP, Runtime

STARTER = '''"""Entry point of `{command}`: the interpreter runs this folder."""

import sys

from {module} import {function}

sys.exit({function}())
'''
UNUSED = (
    "bin",
    "include",
    "**/*.pyi",
    "**/*.pxd",
    "**/*.c",
    "**/*.h",
    "**/tests",
    "*/_tests",
    "trio/testing",
    "pycparser",
    "pycparser-*",
    "cffi/recompiler.py",
    "greenlet/platform",
    "multidict/_testcapi*",
    "betterproto/plugin",
    "betterproto/templates",
    "dateutil/zoneinfo",
    "*.dist-info/RECORD",
    "*.dist-info/INSTALLER",
    "*.dist-info/REQUESTED",
    "*.dist-info/direct_url.json",
)
"""Parts of libraries that no program of Clarion uses at run time."""


def wheel(runtime: Runtime, out: Path, *, compiled: bool) -> Path:
    """Build Clarion's own wheel.

    Args:
        runtime: The interpreter that the compiled modules are for.
        out: Folder for the wheel.
        compiled: Whether to compile _speedups. Without compiled modules the plain twins are used.

    Raises:
        PackagingFailed: The build failed, or left out a compiled module.
    """
    place = out / ("compiled" if compiled else "pure")
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    source = _copy_of_tree(place / "source")
    words: list[str | Path] = [runtime.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    env = {} if compiled else {"CLARION_PURE": "1"}
    if runtime.kind == "portable":
        # The portable interpreter has no pip: its wheel is built by setuptools from a folder of build tools.
        tools = place / "tools"
        run(_pip_install(runtime, tools, ["setuptools>=77", "cython==3.3.1"]))
        run(
            [runtime.executable, "setup.py", "-q", "bdist_wheel", "-d", place],
            cwd=source,
            env=env | _compiler(runtime, place) | {"PYTHONPATH": str(tools)},
        )
    else:
        run([*words, "-w", place, source], env=env)
    found = list(place.glob("clarion-*.whl"))
    if len(found) != 1:
        raise PackagingFailed("bad_payload", f"the build made {len(found)} wheels in {place}", "see setup.py")
    if compiled and not any(name.endswith(".so") for name in zipfile.ZipFile(found[0]).namelist()):
        raise PackagingFailed(
            "bad_payload", "the wheel has no compiled modules", "install a C compiler and Python's headers"
        )
    return found[0]


def install(program: Program, runtime: Runtime, clarion: Path, into: Path) -> None:
    """Make the folder of a program.

    Args:
        program: The program.
        runtime: The interpreter that will run it.
        clarion: Clarion's wheel.
        into: The folder; what is there is replaced.

    Raises:
        PackagingFailed: pip failed.
    """
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    run(_pip_install(runtime, into, requirements(program)))
    trim(into)
    with zipfile.ZipFile(clarion) as archive:
        for name in archive.namelist():
            if kept(program, name):
                archive.extract(name, into)
    module, function = program.entry.split(":")
    (into / "__main__.py").write_text(STARTER.format(command=program.command, module=module, function=function))
    normalise(into, runtime.arch)
    # The name in tracebacks is the installed one; bytecode is never checked against its source, which cannot change.
    names: tuple[str | Path, ...] = ("-s", into, "-p", program.home)
    words: list[str | Path] = [
        runtime.executable,
        "-I",
        "-m",
        "compileall",
        "-q",
        *names,
        "--invalidation-mode",
        "unchecked-hash",
        into,
    ]
    run(words, accepted=(0, 1))  # 1: libraries bring modules for newer versions of Python, which this one never imports
    ours = [path for part in program.keep for path in (into / part).rglob("*.py")]
    bare = [path for path in ours if not list((path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"))]
    if bare:
        raise PackagingFailed("bad_payload", f"{bare[0]} and {len(bare) - 1} others cannot be compiled", "compile them")


def kept(program: Program, name: str) -> bool:
    """True if a file of Clarion's wheel belongs to a program."""
    if ".dist-info/" in name:
        return not name.endswith(("/RECORD", "/entry_points.txt", "/top_level.txt"))
    if name.endswith((".c", ".pxd", ".pyi", ".html")) and name.startswith("_speedups/"):
        return False
    if name.endswith(".so") and not program.compiled:
        return False
    return any(name == part or name.startswith(f"{part}/") for part in program.keep)


def trim(tree: Path) -> None:
    """Remove what libraries bring and no program uses."""
    for pattern in UNUSED:
        for path in list(tree.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            elif path.exists():
                path.unlink()


def normalise(tree: Path, arch: str) -> None:
    """Give folders mode 0755 and files 0644, whatever umask and wheels say; drop `#!` lines and debug symbols."""
    strip = program_path(*STRIP[arch])
    for path in [tree, *tree.rglob("*")]:
        if path.is_symlink():
            continue
        path.chmod(0o755 if path.is_dir() else 0o644)
        if path.suffix == ".py":
            text = path.read_bytes()
            if text.startswith(b"#!"):  # not a program; the empty comment keeps the numbers of lines
                path.write_bytes(b"#" + text[text.index(b"\n") :])
        elif path.suffix == ".so":
            run([strip, "--strip-unneeded", path])


def launcher(program: Program) -> str:
    """Return the script in /usr/bin.

    -I and -S keep the user's and the system's Python packages and PYTHON* variables out.
    """
    return f'#!/bin/sh\nexec /usr/lib/clarion/runtime/bin/python3 -I -S -X utf8 {program.home} "$@"\n'


def _pip_install(runtime: Runtime, into: Path, wanted: list[str]) -> list[str | Path]:
    words: list[str | Path] = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "-q"]
    words += ["--no-compile", "--target", into, "--only-binary=:all:"]
    for platform in runtime.platforms:
        words += ["--platform", platform]
    if runtime.platforms:
        words += ["--python-version", runtime.minor, "--implementation", "cp"]
    return words + list(wanted)


def _compiler(runtime: Runtime, place: Path) -> dict[str, str]:
    """Variables that make setuptools compile with zig for the interpreter's glibc.

    The interpreter itself names the wrapper script of its own build, which is gone.
    """
    script = place / "cc"
    target = f"{ARCHITECTURES[runtime.arch]}-linux-gnu.2.17"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ziglang cc -target {target} "$@"\n')
    script.chmod(0o755)
    return {"CC": str(script), "LDSHARED": f"{script} -shared", "CFLAGS": f"-I{runtime.headers}"}


def _copy_of_tree(into: Path) -> Path:
    """Copy what git tracks or would track, so that no build product of the work tree gets into a package."""
    listed = run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT)
    wanted = {part.split("/")[0] for program in PROGRAMS for part in program.keep}
    wanted |= {"pyproject.toml", "setup.py", "README.md", "LICENSE", "loadtest"}
    for name in filter(None, listed.split("\0")):
        if name.split("/")[0] in wanted and (ROOT / name).is_file():
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, into / name)
    return into
