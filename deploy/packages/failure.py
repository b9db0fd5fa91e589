"""The error of a packaging step, and how a step runs an external program."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

EXIT_CODES = {
    "missing_program": 69,
    "program_failed": 70,
    "bad_source": 65,
    "bad_payload": 65,
    "bad_option": 64,
    "no_packages": 66,
    "no_key": 77,
}
"""Code of a failure → exit code of the command, as in sysexits.h."""
SHOWN_LINES = 30
"""Last lines of a failed program's output that the error shows."""


class PackagingFailed(Exception):
    """A step cannot continue.

    Attributes:
        code: Stable code, a key of EXIT_CODES.
        hint: The remedy.
    """

    def __init__(self, code: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.code, self.message, self.hint = code, message, hint

    @property
    def exit_code(self) -> int:
        """Exit code of the command."""
        return EXIT_CODES[self.code]


def program(name: str, debian: str, folder: str = "/usr/sbin") -> str:
    """Return the path of an external program.

    Args:
        name: Name of the program.
        debian: Where it comes from; the error's hint.
        folder: Where to look in addition to the PATH.

    Raises:
        PackagingFailed: missing_program.
    """
    found = shutil.which(name, path=os.environ.get("PATH", os.defpath) + f":{folder}:/sbin")
    if found is None:
        raise PackagingFailed("missing_program", f"the program {name} is not installed", f"install {debian}")
    return found


def run(
    words: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    accepted: Sequence[int] = (0,),
) -> str:
    """Run a program and return its standard output.

    Args:
        words: The program and its arguments.
        cwd: Working directory; default: that of this process.
        env: Variables in addition to those of this process.
        stdin: Text for its standard input; default: none.
        accepted: Exit codes that are no failure.

    Raises:
        PackagingFailed: missing_program, or program_failed with the last lines of its output.
    """
    shown = " ".join(map(str, words))
    try:
        done = subprocess.run(
            [str(word) for word in words],
            cwd=cwd,
            env=os.environ | dict(env or {}),
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise PackagingFailed(
            "missing_program", f"the program {words[0]} is not installed", "install it and run the target again"
        ) from error
    if done.returncode not in accepted:
        last = "\n".join((done.stdout + done.stderr).splitlines()[-SHOWN_LINES:])
        raise PackagingFailed(
            "program_failed", f"'{shown}' failed with exit code {done.returncode}:\n{last}", "see above"
        )
    return done.stdout
