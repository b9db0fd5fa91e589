"""Converts output and names to readable text: one rule for the command line, the page and diffs.

docs/guide/output.md explains the rule. `Readable` interprets a line like a terminal: a carriage return or a backspace
moves back, and the following text overwrites. It accepts bytes in pieces, and the cuts between pieces change nothing.
`escaped` is for names and other single values, `visible` for the diff of texts that look alike. The page does the same
in JavaScript; tests/proto/readable/cases.json tests both.
"""

from __future__ import annotations

import codecs
import re
from unicodedata import category, normalize

WINDOW = 65_536
"""Characters of one line that can still be overwritten. Earlier characters are final, so that an endless line needs
bounded memory.
"""
STRING = 4_096
"""Longest text of a control string, such as a window title. A longer one is shown as text."""

HIDDEN_RANGES = (
    *((0x00, 0x08), (0x0B, 0x1F), (0x7F, 0x9F)),  # control characters but tab and new line
    *((0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F)),
    *(
        (0x200B, 0x200F),
        (0x2028, 0x202E),
        (0x2060, 0x206F),
        (0x3164, 0x3164),
        (0xFEFF, 0xFEFF),
        (0xFFA0, 0xFFA0),
        (0xFFF0, 0xFFFB),
    ),
    *((0xD800, 0xDFFF), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF)),
)
"""Characters that are invisible or change the writing direction: Default_Ignorable_Code_Point of Unicode
(DerivedCoreProperties.txt) without the variation selectors U+FE00 to U+FE0F, which emoji use; line and paragraph
separators; interlinear annotation; surrogates.
"""

_CLASS = "".join(f"{chr(first)}-{chr(last)}" for first, last in HIDDEN_RANGES)
_CLASS = _CLASS.replace("\\", "\\\\").replace("]", "\\]").replace("[", "\\[")
HIDDEN = re.compile(f"[{_CLASS}]")
"""Matches one character of HIDDEN_RANGES."""
_NAME_HIDDEN = re.compile(f"[\t\n{_CLASS}]|(?:(?<=[\x00-\x7f])|^)[\ufe00-\ufe0f]")
"""In names a variation selector must follow a character that has variants; ASCII characters have none."""

_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)(?P<csi>[0-?]{0,64})[ -/]{0,16}(?P<end>[@-~])"
    rf"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x00-\x1f\x7f-\x9f]{{0,{STRING}}}(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]{0,16}[0-OQ-WYZ\\`-~]"
)
"""Control functions of ECMA-48 (5.3 to 5.6): CSI; OSC, DCS, SOS, PM and APC with their text; all other escapes."""
_UNFINISHED = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]{0,64}[ -/]{0,16}\Z"
    rf"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x00-\x1f\x7f-\x9f]{{0,{STRING}}}\x1b?\Z"
    r"|\x1b[ -/]{0,16}\Z"
)
_STEERS = re.compile("[\b\n\r\x1b\x90\x98\x9b\x9d-\x9f]")
"""Characters that end a run of plain text: those that move, and those that begin a control function."""


class Readable:
    """Converts the bytes of one stream to text.

    `add` returns text that can no longer change: whole lines, and text more than WINDOW before the end of a line.
    """

    def __init__(self) -> None:
        """Start with an empty line."""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self._line: list[str] = []
        self._at = 0

    def add(self, data: bytes) -> str:
        """Add bytes and return the text that can no longer change."""
        return self._take(self._decoder.decode(data), last=False)

    def end(self) -> str:
        """Return the remaining text at the end of the stream."""
        return self._take(self._decoder.decode(b"", final=True), last=True) + self._final()

    @property
    def line(self) -> str:
        """The unfinished line as it looks now, without incomplete escape sequences."""
        return _shown(self._line)

    def _take(self, text: str, *, last: bool) -> str:
        text, self._held = self._held + text, ""
        done: list[str] = []
        at = 0
        while at < len(text):
            steering = _STEERS.search(text, at)
            upto = len(text) if steering is None else steering.start()
            if upto > at:
                self._write(text[at:upto], done)
                at = upto
                continue
            if (found := _SEQUENCE.match(text, at)) is not None:
                self._obey(found["csi"], found["end"])
                at = found.end()
            elif not last and _UNFINISHED.match(text, at) is not None:
                self._held = text[at:]
                break
            else:
                self._control(text[at], done)
                at += 1
        return "".join(done)

    def _write(self, text: str, done: list[str]) -> None:
        at = 0
        while at < len(text):
            piece = text[at : at + WINDOW - self._at]
            self._line[self._at : self._at + len(piece)] = piece
            self._at += len(piece)
            at += len(piece)
            if self._at == WINDOW:
                done.append(self._final())

    def _control(self, char: str, done: list[str]) -> None:
        if char == "\n":
            done.append(self._final() + "\n")
        elif char == "\r":
            self._at = 0
        elif char == "\b":
            self._at = max(0, self._at - 1)
        else:
            self._write(char, done)

    def _obey(self, parameter: str | None, function: str | None) -> None:
        """Erase or move within the line. Other functions, such as colours, are ignored."""
        if parameter is None or function not in ("K", "J", "C", "D", "G"):
            return
        number = (
            int(parameter)
            if parameter.isascii() and parameter.isdigit() and len(parameter) <= 6
            else None
            if parameter
            else 0
        )
        if number is None:
            return
        if function in "KJ":
            if number == 0:
                del self._line[self._at :]
            elif number == 2 and function == "K":
                self._line, self._at = [], 0
        else:
            step = max(1, number)
            wanted = {"C": self._at + step, "D": self._at - step, "G": step - 1}[function]
            self._at = min(max(0, wanted), len(self._line))

    def _final(self) -> str:
        text = _shown(self._line)
        self._line, self._at = [], 0
        return text


def readable(output: bytes | str) -> str:
    """Convert a whole output."""
    screen = Readable()
    return screen.add(output if isinstance(output, bytes) else output.encode("utf-8", "surrogatepass")) + screen.end()


def escaped(text: str) -> str:
    """Return a name or another single value with every invisible or misleading character replaced by its number."""
    return _NAME_HIDDEN.sub(_number, text)


def hidden(text: str) -> str | None:
    """Return the first character of a name that `escaped` would replace, as `U+202E`, or None."""
    found = _NAME_HIDDEN.search(text)
    return None if found is None else f"U+{ord(found[0]):04X}"


def visible(data: bytes) -> str:
    """Return a text in which every byte is visible, so that two different lines look different.

    Everything that `readable` interprets, leaves out or cannot show is replaced by its number. So are tabs, trailing
    spaces, unusual spaces, combining marks and bytes that are not UTF-8; a backslash is doubled.
    """
    text = data.decode("utf-8", "surrogateescape")
    kept = text.rstrip(" ")
    return "".join(map(_told, kept)) + "\\x20" * (len(text) - len(kept))


def look(text: str) -> str:
    """Return a form that is equal for readable texts that look the same; only `visible` shows their difference."""
    plain = normalize("NFC", text).translate(_VARIATIONS)
    return "\n".join(" ".join(line.split()) for line in plain.split("\n"))


_VARIATIONS = dict.fromkeys(range(0xFE00, 0xFE10))
_SHORT = {"\t": "\\t", "\n": "\\n", "\r": "\\r", "\b": "\\b", "\x1b": "\\e", "\\": "\\\\"}


def _told(char: str) -> str:
    if (short := _SHORT.get(char)) is not None:
        return short
    if " " <= char <= "~":
        return char
    if "\udc80" <= char <= "\udcff":
        return f"\\x{ord(char) - 0xDC00:02x}"
    hides = HIDDEN.match(char) is not None or category(char)[0] in "CMZ"
    return _code(char) if hides else char


def _shown(line: list[str]) -> str:
    return HIDDEN.sub(_number, "".join(line))


def _number(found: re.Match[str]) -> str:
    return _code(found[0])


def _code(char: str) -> str:
    value = ord(char)
    if value < 0x80:
        return f"\\x{value:02x}"
    return f"\\u{value:04x}" if value < 0x10000 else f"\\U{value:08x}"
