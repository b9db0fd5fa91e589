"""Output and names as people can read them: one rule for the command line, the page and diffs. docs/guide/output.md is
this page in prose.

`Readable` plays a line like a terminal: a carriage return or a backspace moves back, what follows overwrites. It takes
bytes in pieces, and how
they are cut changes nothing. `escaped` is for names and other single values, `visible` for the diff of texts that look
alike. The page does
the same in JavaScript; tests/proto/readable/cases.json holds both to it.
"""

from __future__ import annotations

import codecs
import re
from unicodedata import category, normalize

WINDOW = 65_536
"""Characters of one line that can still be overwritten. What stands before them is final, so that a line without end
needs no memory without end."""
STRING = 4_096
"""Longest text of a control string, such as a window's title. A longer one is shown, as text."""

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
"""Characters that take no room or turn the direction of writing: Default_Ignorable_Code_Point of Unicode
(DerivedCoreProperties.txt) without the
variation selectors U+FE00 to U+FE0F, which emoji are written with; line and paragraph separators; interlinear
annotation; surrogates."""

_CLASS = "".join(f"{chr(first)}-{chr(last)}" for first, last in HIDDEN_RANGES)
_CLASS = _CLASS.replace("\\", "\\\\").replace("]", "\\]").replace("[", "\\[")
HIDDEN = re.compile(f"[{_CLASS}]")
"""One of HIDDEN_RANGES."""
_NAME_HIDDEN = re.compile(f"[\t\n{_CLASS}]|(?:(?<=[\x00-\x7f])|^)[\ufe00-\ufe0f]")
"""In names a variation selector must follow a character that has variants; none of ASCII counts as one."""

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
"""What ends a run of characters that are simply written: what moves, and what begins a control function."""


class Readable:
    """Bytes of one stream → text. `add` returns what can no longer change: whole lines, and what lies WINDOW before the
    end of one."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self._line: list[str] = []
        self._at = 0

    def add(self, data: bytes) -> str:
        return self._take(self._decoder.decode(data), last=False)

    def end(self) -> str:
        """Whatever is left, once nothing more comes."""
        return self._take(self._decoder.decode(b"", final=True), last=True) + self._final()

    @property
    def line(self) -> str:
        """The line that is not over, as it looks now; of an escape sequence that is not complete, nothing."""
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
        """Erasing, and moving within the line; everything else that a terminal would do, colours above all, is left
        out."""
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
    """All of an output at once."""
    screen = Readable()
    return screen.add(output if isinstance(output, bytes) else output.encode("utf-8", "surrogatepass")) + screen.end()


def escaped(text: str) -> str:
    """A name or another single value: every character that would not be seen, or would change how the rest is read, as
    its number."""
    return _NAME_HIDDEN.sub(_number, text)


def hidden(text: str) -> str | None:
    """The first character of a name that `escaped` would show as its number, as `U+202E`."""
    found = _NAME_HIDDEN.search(text)
    return None if found is None else f"U+{ord(found[0]):04X}"


def visible(data: bytes) -> str:
    """Every byte tells: two lines that differ look different. What `readable` plays, leaves out or cannot show stands
    as its number; so do tabs,
    spaces at the end, spaces other than the usual one, combining marks, bytes that are not UTF-8, and a backslash
    twice."""
    text = data.decode("utf-8", "surrogateescape")
    kept = text.rstrip(" ")
    return "".join(map(_told, kept)) + "\\x20" * (len(text) - len(kept))


def look(text: str) -> str:
    """Readable texts with the same look are told apart by `visible` only."""
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
