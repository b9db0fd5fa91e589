"""Builds the compiled modules of _speedups; pyproject.toml describes the rest of the package.

CLARION_PURE=1          build none of them CLARION_DEBUG_BUILD=1   build them with bounds checks, line tracing and
annotated sources (_speedups/*/*.html)

Without Cython or a C compiler the package still builds; it then uses the slower Python modules and prints one line.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CCompilerError, CompileError, ExecError, PlatformError

PURE = os.environ.get("CLARION_PURE", "") == "1"
DEBUG = os.environ.get("CLARION_DEBUG_BUILD", "") == "1"

# Module → source. tally_c is the plain tally_py compiled with the types of tally_c.pxd, and so on.
SOURCES = {
    "_speedups.tally.tally_c": "_speedups/tally/tally_py.py",
    "_speedups.route.route_c": "_speedups/route/route_py.py",
    "_speedups.messages.decode_c": "_speedups/messages/decode_py.py",
    "_speedups.messages.encode_c": "_speedups/messages/encode_py.py",
    "_speedups.messages.hello_c": "_speedups/messages/hello_py.py",
    "_speedups.http2.socket_c": "_speedups/http2/socket_py.py",
    "_speedups.http2.stream_c": "_speedups/http2/stream_py.py",
    "_speedups.http2.poller_c": "_speedups/http2/poller_py.py",
    "_speedups.http2.frame_reader_c": "_speedups/http2/frame_reader_py.py",
    "_speedups.http2.connection_c": "_speedups/http2/connection_py.py",
}


def warn_slow(reason: object) -> None:
    print(f"\nCLARION: BUILT WITHOUT COMPILED MODULES, IT WILL RUN SLOWER ({reason})\n", file=sys.stderr, flush=True)


class build_loudly(build_ext):
    """Prints a warning when an extension cannot be compiled; extensions are optional and then left out."""

    def build_extension(self, ext: Extension) -> None:
        try:
            super().build_extension(ext)
        except (CCompilerError, ExecError, PlatformError, OSError) as error:
            warn_slow(f"no working C compiler or no Python headers: {error}")
            raise CompileError(str(error)) from error


def types() -> list[str]:
    """Each module is compiled against the .pxd of others: when one changes, the layout of its classes does, and all
    must follow."""
    return sorted(str(path) for path in Path("_speedups").rglob("*.pxd"))


def stale() -> bool:
    """Whether some C source is older than some .pxd; cythonize sees only those that a module names itself."""
    made = [Path(source).with_suffix(".c") for source in SOURCES.values()]
    newest = max(Path(name).stat().st_mtime for name in types())
    return any(path.exists() and path.stat().st_mtime < newest for path in made)


def extensions() -> list[Extension]:
    if PURE:
        warn_slow("CLARION_PURE=1")
        return []
    try:
        from Cython.Build import cythonize
        from Cython.Compiler import Options
    except ImportError as error:
        warn_slow(f"no Cython: {error}")
        return []
    Options.warning_errors = True
    found: list[Extension] = cythonize(
        [
            Extension(
                name,
                [source],
                depends=types(),
                extra_compile_args=["-O0", "-g"] if DEBUG else ["-O2"],
                define_macros=[("CYTHON_TRACE", "1")] if DEBUG else [],
            )
            for name, source in SOURCES.items()
        ],
        annotate=DEBUG,
        force=DEBUG or stale(),
        quiet=not DEBUG,
        compiler_directives={
            "language_level": 3,
            "annotation_typing": False,
            "embedsignature": True,
            "boundscheck": DEBUG,
            "wraparound": False,
            "initializedcheck": DEBUG,
            "linetrace": DEBUG,
            "show_performance_hints": DEBUG,
        },
    )
    for extension in found:
        extension.optional = True  # cythonize does not hand it on
    return found


setup(ext_modules=extensions(), cmdclass={"build_ext": build_loudly})
