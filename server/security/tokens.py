"""API and join tokens: `cl_<id>_<secret><checksum>` and `jt_…`.

id: 8 base62 characters, public, to look a token up and to name it in logs. secret: 43 base62 characters, 256 bits.
checksum:
6 base62 characters, CRC-32 of all before it, so that a mistyped or cut token is told from an unknown one without any
look-up. The form is GitHub's ("Behind GitHub's new authentication token formats", 2021). Only the SHA-256 is ever
stored.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from zlib import crc32

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID, _SECRET, _CHECK = 8, 43, 6
"""62**43 > 2**256, 62**6 > 2**32."""


class Kind(StrEnum):
    """Value: the prefix."""

    API = "cl"
    JOIN = "jt"


PATTERN = re.compile(rf"({'|'.join(Kind)})_([0-9A-Za-z]{{{_ID}}})_([0-9A-Za-z]{{{_SECRET + _CHECK}}})")
"""Finds tokens in any text; group 2 is the public id."""


class BadToken(ValueError):
    """The text is not a token of the wanted kind. The message never holds any of it."""


@dataclass(frozen=True, slots=True, repr=False)
class Token:
    """A token in full. Printing it shows only kind and id."""

    kind: Kind
    id: str
    text: str

    def __repr__(self) -> str:
        return f"Token({self.kind}_{self.id}_…)"

    __str__ = __repr__

    @property
    def digest(self) -> bytes:
        return digest(self.text)


def make(kind: Kind, entropy: Callable[[int], bytes]) -> Token:
    """A new token from `entropy(n)`, n random bytes: 8 for the id, 32 for the secret."""
    public = _base62(int.from_bytes(entropy(8), "big") % 62**_ID, _ID)
    body = f"{kind}_{public}_{_base62(int.from_bytes(entropy(32), 'big'), _SECRET)}"
    return Token(kind, public, body + _checksum(body))


def parse(text: str, kind: Kind) -> Token:
    """The token with this text. Raises BadToken that says whether it has another form, another kind or a wrong
    checksum."""
    match = PATTERN.fullmatch(text)
    if match is None:
        raise BadToken(f"not of the form {kind}_ID_SECRET")
    if match[1] != kind:
        raise BadToken(f"a token of another kind: it begins with {match[1]}_, not {kind}_")
    if _checksum(text[:-_CHECK]) != text[-_CHECK:]:
        raise BadToken("its checksum is wrong, so it was mistyped or cut")
    return Token(kind, match[2], text)


def digest(text: str) -> bytes:
    """SHA-256, 32 bytes: what is kept instead of the token. A 256-bit secret needs no slow hash."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def matches(text: str, kept: bytes) -> bool:
    """Whether `kept` is the digest of `text`, in time that does not depend on where they differ."""
    return hmac.compare_digest(digest(text), kept)


def _checksum(body: str) -> str:
    return _base62(crc32(body.encode("ascii")), _CHECK)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
