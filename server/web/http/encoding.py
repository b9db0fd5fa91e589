"""ETags, `304 Not Modified` and gzip for complete responses.

Work that grows with the response runs in one of THREADS worker threads; if all are busy, the response is not
compressed. Responses that contain a secret are never compressed, because their length would reveal something about it
(the BREACH attack). These are the responses to methods other than GET, and of the session.
"""

from __future__ import annotations

import gzip
from hashlib import blake2b

import trio
from quart import Request, Response

LEVEL = 3
"""zlib compression level. Level 6 takes twice the time and saves a tenth more."""
INLINE = 32 << 10
"""Responses up to this many bytes are hashed and compressed on the event loop, in less than half a millisecond."""
THREADS = 2
COMPRESSIBLE = frozenset(
    {"application/json", "text/html", "text/javascript", "text/css", "text/plain", "image/svg+xml"}
)
NEVER_COMPRESSED = frozenset({"/api/v1/session"})


class Encoder:
    """Adds ETags and compresses responses.

    Args:
        compress_above: Minimum size of a compressed response, in bytes; 0 turns compression off.
    """

    def __init__(self, compress_above: int) -> None:
        self._above = compress_above
        self._threads = trio.CapacityLimiter(THREADS)

    async def finish(self, request: Request, response: Response, data: bytes) -> None:
        """Give a complete response to GET or HEAD its ETag and its encoding, or turn it into a 304."""
        if response.status_code != 200 or request.method not in ("GET", "HEAD"):
            return
        zipped, tag = await self._work(
            data, self._should_compress(request, response, data), "ETag" not in response.headers
        )
        if tag is not None:
            response.headers["ETag"] = tag
        response.vary.add("Accept-Encoding")
        if _matches(request.headers.get("If-None-Match"), response.headers["ETag"]):
            response.status_code = 304
            response.set_data(b"")
            for name in ("Content-Type", "Content-Length", "Content-Encoding"):
                response.headers.pop(name, None)
            return
        if zipped is not None:
            response.headers["Content-Encoding"] = "gzip"
            response.set_data(zipped)

    def _should_compress(self, request: Request, response: Response, data: bytes) -> bool:
        kind = (response.content_type or "").partition(";")[0]
        if not self._above or len(data) < self._above or kind not in COMPRESSIBLE or request.path in NEVER_COMPRESSED:
            return False
        return request.accept_encodings.quality("gzip") > 0

    async def _work(self, data: bytes, compress: bool, tag_wanted: bool) -> tuple[bytes | None, str | None]:
        if len(data) <= INLINE:
            return _encoded(data, compress, tag_wanted)
        if self._threads.available_tokens < 1:
            compress = False
        return await trio.to_thread.run_sync(_encoded, data, compress, tag_wanted, limiter=self._threads)


def _encoded(data: bytes, compress: bool, tag_wanted: bool) -> tuple[bytes | None, str | None]:
    """The compressed data and the ETag. The tag is weak, because both encodings share it (RFC 9110 section 8.8.1)."""
    zipped = gzip.compress(data, LEVEL, mtime=0) if compress else None
    return zipped, f'W/"{blake2b(data, digest_size=16).hexdigest()}"' if tag_wanted else None


def _matches(header: str | None, tag: str) -> bool:
    """True if the If-None-Match header contains the tag, compared weakly (RFC 9110 section 13.1.2)."""
    if header is None:
        return False
    known = [part.strip().removeprefix("W/") for part in header.split(",")]
    return "*" in known or tag.removeprefix("W/") in known
