"""Fetches the output of commands in pieces, byte for byte."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any, NamedTuple

from proto.common.lru import LruCache
from server.cli.client.api import Api, Json, segment
from server.cli.client.errors import CliFailure
from server.errors import UNAVAILABLE

PIECE = 262_144
"""Bytes per request."""
KEPT = 32
"""Number of outputs that are cached, because many hosts write identical output."""


class StoredOutput(NamedTuple):
    """Stored output of one stream. `head` is everything if nothing was dropped; `tail` follows the dropped part."""

    head: bytes
    tail: bytes
    total_bytes: int
    truncated: bool
    sha256: str | None

    @property
    def dropped(self) -> int:
        """Bytes between head and tail that are not stored."""
        return self.total_bytes - len(self.head) - len(self.tail)

    def as_json(self) -> Json:
        """Return the output as JSON: `text` with invalid UTF-8 replaced, and `base64` with the exact bytes.

        The tail has its own fields if bytes before it are missing.
        """
        document: Json = {
            "total_bytes": self.total_bytes,
            "truncated": self.truncated,
            "sha256": self.sha256,
            **_both("", self.head),
        }
        return document | (_both("tail_", self.tail) if self.truncated else {})


def _both(prefix: str, data: bytes) -> Json:
    return {f"{prefix}text": data.decode("utf-8", "replace"), f"{prefix}base64": b64encode(data).decode("ascii")}


class Outputs:
    """Fetches outputs of one task. Output that several hosts share is fetched once."""

    def __init__(self, api: Api, task_id: str) -> None:
        self._api, self._task = api, task_id
        self._seen: LruCache[str, StoredOutput] = LruCache(KEPT)

    def of(self, item: Json, stream: str) -> StoredOutput | None:
        """Return the output of one row of the task's hosts; None if the stream is empty."""
        reference: dict[str, Any] | None = item.get(stream)
        if not reference:
            return None
        output_id = str(reference["output_id"])
        kept = self._seen.get(output_id)
        if kept is None:
            kept = self.fetch(str(item["host_id"]), stream)
            self._seen.put(output_id, kept)
        return kept

    def fetch(self, host: str, stream: str) -> StoredOutput:
        """Fetch the output of one host. Raises CliFailure, also if bytes are missing."""
        path = f"tasks/{segment(self._task)}/hosts/{segment(host)}/output"
        first = self._api.get(path, {"stream": stream, "part": "head", "offset": 0, "limit": PIECE})
        head = self._rest(path, stream, "head", int(first["head_bytes"]), b64decode(first["base64"]))
        tail = self._rest(path, stream, "tail", int(first["tail_bytes"]), b"")
        truncated = bool(first["truncated"])
        if not truncated:
            head, tail = head + tail, b""
        return StoredOutput(head, tail, int(first["total_bytes"]), truncated, first["sha256"])

    def _rest(self, path: str, stream: str, part: str, length: int, data: bytes) -> bytes:
        pieces = bytearray(data)
        while len(pieces) < length:
            answer = self._api.get(path, {"stream": stream, "part": part, "offset": len(pieces), "limit": PIECE})
            piece = b64decode(answer["base64"])
            if not piece:
                raise CliFailure(
                    UNAVAILABLE,
                    f"the server sent {len(pieces)} of {length} bytes of {stream}",
                    "try again; if it fails again, read the server's log",
                )
            pieces += piece
        return bytes(pieces)
