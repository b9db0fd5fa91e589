"""How an answer is sent: its ETag, `304 Not Modified` for a client that has it, and gzip for a client that accepts it.

Work that grows with the answer runs in a worker thread, at most THREADS at once; while those are busy an answer is sent
as it is. An answer
with a secret is never compressed, because its length would then tell of it (the attack called BREACH): those are the
answers of other
methods than GET, and of the session.
"""

from __future__ import annotations

import gzip
from hashlib import blake2b

import trio
from quart import Request, Response

LEVEL = 3
"""Of zlib. Level 6 takes twice the time for a tenth less."""
INLINE = 32 << 10
"""Bytes that are hashed and compressed on the loop, in less than half a millisecond."""
THREADS = 2
KINDS = frozenset({"application/json", "text/html", "text/javascript", "text/css", "text/plain", "image/svg+xml"})
SECRET = frozenset({"/api/v1/session"})


class Encoder:
    """compress_above: bytes from which an answer is compressed; 0: never."""

    def __init__(self, compress_above: int) -> None:
        self._above = compress_above
        self._threads = trio.CapacityLimiter(THREADS)

    async def finish(self, request: Request, response: Response, data: bytes) -> None:
        """Give a complete answer to GET or HEAD its ETag and its encoding, or make it a 304."""
        if response.status_code != 200 or request.method not in ("GET", "HEAD"):
            return
        zipped, tag = await self._work(data, self._zips(request, response, data), "ETag" not in response.headers)
        if tag is not None:
            response.headers["ETag"] = tag
        response.vary.add("Accept-Encoding")
        if _has(request.headers.get("If-None-Match"), response.headers["ETag"]):
            response.status_code = 304
            response.set_data(b"")
            for name in ("Content-Type", "Content-Length", "Content-Encoding"):
                response.headers.pop(name, None)
            return
        if zipped is not None:
            response.headers["Content-Encoding"] = "gzip"
            response.set_data(zipped)

    def _zips(self, request: Request, response: Response, data: bytes) -> bool:
        kind = (response.content_type or "").partition(";")[0]
        if not self._above or len(data) < self._above or kind not in KINDS or request.path in SECRET:
            return False
        return request.accept_encodings.quality("gzip") > 0

    async def _work(self, data: bytes, zips: bool, tags: bool) -> tuple[bytes | None, str | None]:
        if len(data) <= INLINE:
            return _encoded(data, zips, tags)
        if self._threads.available_tokens < 1:
            zips = False
        return await trio.to_thread.run_sync(_encoded, data, zips, tags, limiter=self._threads)


def _encoded(data: bytes, zips: bool, tags: bool) -> tuple[bytes | None, str | None]:
    """The tag is weak, because one of both forms is sent under it (RFC 9110 section 8.8.1)."""
    zipped = gzip.compress(data, LEVEL, mtime=0) if zips else None
    return zipped, f'W/"{blake2b(data, digest_size=16).hexdigest()}"' if tags else None


def _has(header: str | None, tag: str) -> bool:
    """Compared weakly, as If-None-Match asks (RFC 9110 section 13.1.2)."""
    if header is None:
        return False
    known = [part.strip().removeprefix("W/") for part in header.split(",")]
    return "*" in known or tag.removeprefix("W/") in known
