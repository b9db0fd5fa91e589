"""API and join tokens: `cl_<id>_<secret><checksum>` and `jt_…`.

The id has 8 base62 characters; it is public and names the token in look-ups and logs. The secret has 43 base62
characters, 256 bits. The checksum has 6 base62 characters: the CRC-32 of everything before it. It separates mistyped
tokens from unknown ones without a look-up. The form is GitHub's ("Behind GitHub's new authentication token formats",
2021). Only the SHA-256 of a token is stored.
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
    """Kind of a token; the value is its prefix."""

    API = "cl"
    JOIN = "jt"


PATTERN = re.compile(rf"({'|'.join(Kind)})_([0-9A-Za-z]{{{_ID}}})_([0-9A-Za-z]{{{_SECRET + _CHECK}}})")
"""Finds tokens in any text; group 2 is the public id."""


class BadToken(ValueError):
    """The text is not a token of the wanted kind. The message never contains any part of the text."""


@dataclass(frozen=True, slots=True, repr=False)
class Token:
    """A token with its secret. Its printed form shows only kind and id."""

    kind: Kind
    id: str
    text: str

    def __repr__(self) -> str:
        return f"Token({self.kind}_{self.id}_…)"

    __str__ = __repr__

    @property
    def digest(self) -> bytes:
        """The SHA-256 of the token."""
        return digest(self.text)


def make(kind: Kind, entropy: Callable[[int], bytes]) -> Token:
    """Create a token. `entropy(n)` returns n random bytes: 8 for the id, 32 for the secret."""
    public = _base62(int.from_bytes(entropy(8), "big") % 62**_ID, _ID)
    body = f"{kind}_{public}_{_base62(int.from_bytes(entropy(32), 'big'), _SECRET)}"
    return Token(kind, public, body + _checksum(body))


def parse(text: str, kind: Kind) -> Token:
    """Parse a token.

    Raises:
        BadToken: The text has another form, another kind or a wrong checksum.
    """
    match = PATTERN.fullmatch(text)
    if match is None:
        raise BadToken(f"not of the form {kind}_ID_SECRET")
    if match[1] != kind:
        raise BadToken(f"a token of another kind: it begins with {match[1]}_, not {kind}_")
    if _checksum(text[:-_CHECK]) != text[-_CHECK:]:
        raise BadToken("its checksum is wrong, so it was mistyped or cut")
    return Token(kind, match[2], text)


def digest(text: str) -> bytes:
    """Return the SHA-256, which is stored instead of the token. A 256-bit secret needs no slow hash."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def matches(text: str, kept: bytes) -> bool:
    """Return whether `kept` is the digest of `text`, in constant time."""
    return hmac.compare_digest(digest(text), kept)


def _checksum(body: str) -> str:
    return _base62(crc32(body.encode("ascii")), _CHECK)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
