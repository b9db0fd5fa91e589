"""A viewer of one host's output that reconnects like a browser, with the last id, and accounts for every byte."""

from __future__ import annotations

import json
import threading
import time
from base64 import b64decode
from hashlib import sha256
from typing import Any

import httpx

from tests.system.rig import Rig


class Viewer(threading.Thread):
    """Comes again whenever its connection breaks; `drop` breaks it. Ends with `end`. gaps: what it was told to be
    missing. total: bytes of each
    stream, gaps included. got: all of them, with zeros for gaps. ages: how old each piece was when it came, in seconds,
    where the agent knew.
    pauses: seconds from one piece or gap to the next. keep: False for a stream too long for memory: then `got` stays
    empty."""

    def __init__(self, rig: Rig, task_id: str, host: str, *, keep: bool = True) -> None:
        super().__init__(daemon=True)
        self._url = f"http://127.0.0.1:{rig.http_port}/api/v1/tasks/{task_id}/hosts/{host}/output/live"
        self._token = (rig.data / "admin.token").read_text().strip()
        self._keep = keep
        self.got = {"stdout": bytearray(), "stderr": bytearray()}
        self.total = {"stdout": 0, "stderr": 0}
        self.gaps: list[dict[str, Any]] = []
        self.end: dict[str, Any] | None = None
        self.wrong = ""
        self.connections = 0
        self.ages: list[float] = []
        self.pauses: list[float] = []
        self._last, self._dropped, self._heard_at = "", False, 0.0

    @property
    def skipped(self) -> int:
        """Bytes in gaps."""
        return sum(int(gap["end"] - gap["offset"]) for gap in self.gaps)

    def drop(self) -> None:
        self._dropped = True

    def run(self) -> None:
        while self.end is None and not self.wrong:
            headers = {"Authorization": f"Bearer {self._token}"} | ({"Last-Event-ID": self._last} if self._last else {})
            try:
                with httpx.stream("GET", self._url, headers=headers, timeout=30) as response:
                    if response.status_code == 200:
                        self.connections += 1
                        self._read(response)
            except httpx.TransportError:
                time.sleep(0.05)

    def _read(self, response: httpx.Response) -> None:
        fields: dict[str, str] = {}
        for line in response.iter_lines():
            name, _, value = line.partition(": ")
            if line:
                fields[name] = value
                continue
            if "event" in fields:
                self._last = fields.get("id", self._last)
                self._take(fields["event"], json.loads(fields["data"]))
            fields = {}
            if self._dropped or self.wrong or self.end:
                self._dropped = False
                return

    def _take(self, name: str, data: Any) -> None:
        if name == "end":
            self.end = data
        elif name in ("output", "gap"):
            stream = data["stream"]
            if data["offset"] != self.total[stream]:
                self.wrong = f"{name} of {stream} at {data['offset']}, and {self.total[stream]} bytes are there"
                return
            self._note(data)
            if name == "gap":
                self.gaps.append(data)
                self._add(
                    stream, bytes(data["end"] - data["offset"]) if self._keep else b"", data["end"] - data["offset"]
                )
            else:
                piece = b64decode(data["base64"])
                self._add(stream, piece, len(piece))

    def _add(self, stream: str, data: bytes, length: int) -> None:
        self.total[stream] += length
        if self._keep:
            self.got[stream] += data

    def _note(self, data: Any) -> None:
        now = time.monotonic()
        if self._heard_at:
            self.pauses.append(now - self._heard_at)
        self._heard_at = now
        if data.get("at"):
            self.ages.append(max(0.0, time.time() - data["at"] / 1000))


def digest_of_repeats(block: bytes, size: int) -> str:
    """SHA-256 of `block` again and again, `size` bytes in all."""
    digest, whole = sha256(), block * max(1, 1_000_000 // len(block))
    for _ in range(size // len(whole)):
        digest.update(whole)
    digest.update((whole)[: size % len(whole)])
    return digest.hexdigest()
