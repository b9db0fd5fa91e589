r"""Finds characters that editors insert by themselves: carriage returns, byte-order marks, UTF-16, unusual spaces.

A text with such characters does not do what its author reads. `mkdir app` with CR LF creates a directory `app\r`, and
a byte-order mark before `#!` hides the interpreter's name. Such a text is refused, with the place and the remedy.
Nothing is converted: a carriage return in a here-document may be intended, and only the author knows.
"""

from __future__ import annotations

import re

from server.core.model import Command
from server.errors import ClarionError
from server.web.service.checks import refuse

BOM = "\ufeff"
_SPACES = "\u00a0\u1680\u2000-\u200b\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
"""Spaces that a shell does not treat as blanks, some of them invisible; as a set for a regular expression."""
_ODD_SPACE = re.compile(f"[{_SPACES}]")
_MISTAKEN = re.compile(f"(?:(?<=[|&;<>(])|(?<=^)|(?<=\n))[{_SPACES}]+|[{_SPACES}]+(?=-[A-Za-z0-9-]|[|&;<>])")
"""Where a shell needs a blank: at the beginning of a line, next to an operator, before an option."""
_SHELL = re.compile(r"#!\s*\S*?(?:ba|da|k|z|a)?sh\b|#!\s*\S*/env\s+(?:-S\s+)?(?:ba|da|k|z|a)?sh\b")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
UNIX = (
    "save it with Unix line ends, for example with: sed -i 's/\\r$//' FILE; where a carriage return is meant, "
    "write \\r with printf"
)
OLD_MAC = (
    "save it with Unix line ends, for example with: tr '\\r' '\\n' <FILE >NEW; where a carriage return is meant, "
    "write \\r with printf"
)


def check_script(script: str, interpreter: str | None) -> None:
    """Raise ClarionError invalid_value for a script with such characters. If no `interpreter` is given, the script's
    first line names it."""
    _check("script", script)
    first = script.partition("\n")[0]
    if (
        interpreter is None
        and not script.startswith("#!")
        and script.lstrip(f" \t\r\n\v\f{BOM}\u00a0\u200b").startswith("#!")
    ):
        raise refuse(
            "script",
            "does not begin with its #! line, so that line would be ignored and /bin/sh would run the script",
            "remove what stands before #!",
        )
    if interpreter is None and first.startswith("#!"):
        _check_first_line(first)
    if interpreter is None and (not first.startswith("#!") or _SHELL.match(first)):
        _check_spaces("script", script)


def check_command(text: str) -> None:
    """Raise ClarionError invalid_value for shell text with such characters."""
    _check("command", text)
    _check_spaces("command", text)


def check_interpreter(text: str) -> None:
    """Raise ClarionError invalid_value for an interpreter with such characters. It is a program with its options."""
    if _CONTROL.search(text) or "\n" in text or "\t" in text or _ODD_SPACE.search(text):
        raise refuse(
            "interpreter",
            f"has a character that is no part of a program's name: {text[:60]!a}",
            "write the program and its options on one line, with plain spaces",
        )


def check_stored_command(command: Command) -> None:
    """Check a stored command, which an earlier release may have accepted. Raises ClarionError invalid_value."""
    if command.script is not None:
        check_script(command.script, command.interpreter)
    elif command.command is not None:
        check_command(command.command)


def _check(field: str, text: str) -> None:
    if text.startswith(BOM):
        raise refuse(
            field,
            "begins with a byte-order mark (U+FEFF), which an editor has put there",
            "save it as UTF-8 without a byte-order mark, for example with: sed -i '1s/^\\xEF\\xBB\\xBF//' FILE",
        )
    if text.startswith("\ufffe") or "\0" in text[:2] or text[1:8:2].count("\0") > 1:
        raise refuse(field, "holds NUL characters, as UTF-16 and binary files do", "save it as UTF-8 text")
    at = text.find("\r\n")
    if at < 0 and "\n" not in text:
        at = text.find("\r")
    if at < 0 and text.endswith("\r"):
        at = len(text) - 1
    if at >= 0:
        line = text.count("\n", 0, at) + 1
        if "\n" not in text and "\r" in text[:-1]:  # removing only the last one would leave the others
            raise refuse(
                field,
                "has carriage returns (CR) and no line feed between its lines: it has the line ends of old Macs",
                OLD_MAC,
            )
        raise refuse(
            field, f"has a carriage return (CR) at the end of line {line}: it has the line ends of Windows", UNIX
        )


def _check_first_line(line: str) -> None:
    named = line[2:].strip(" \t")
    if not named:
        raise refuse(
            "script", "begins with #! and names no interpreter", "name one, such as #!/bin/sh, or remove the line"
        )
    if _ODD_SPACE.search(line) or _CONTROL.search(line):
        raise refuse(
            "script",
            f"names its interpreter with a character that is no part of it: {line[:60]!a}",
            "write the #! line with plain spaces",
        )


def _check_spaces(field: str, text: str) -> None:
    found = _MISTAKEN.search(text)
    if found is None:
        return
    line = text.count("\n", 0, found.start()) + 1
    column = found.start() - (text.rfind("\n", 0, found.start()) + 1) + 1
    name = f"U+{ord(found[0][0]):04X}"
    raise ClarionError(
        "invalid_value",
        f"{field} has {name}, which looks like a space but is not one for a shell, in line {line}, column {column}",
        field=field,
        hint=(
            "write a plain space there; where the character is meant, put it into quotes away from options and "
            "operators"
        ),
    )
