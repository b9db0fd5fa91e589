"""The server's REST API, one connection at a time."""

from __future__ import annotations

import http.client
import select
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import orjson

PAGE = 500
PATIENCE = 60.0
"""Seconds for which a request that the server has no room for is repeated."""
LONGEST_PAUSE = 10.0
"""Seconds between two tries, whatever the server asks for."""
NOT_TAKEN = ("overloaded",)
"""Codes with which nothing was done: such a request may be sent again, another one may have been carried out."""
FINAL = ("completed", "failed", "canceled", "timeout")


class Unreachable(Exception):
    """The server gave no answer."""


class Refused(Exception):
    """The server answered with an error. status: HTTP."""

    def __init__(self, status: int, what: str) -> None:
        super().__init__(f"{status}: {what}")
        self.status = status


@dataclass(slots=True)
class Pauses:
    """How often the server had no room for a request, and the seconds that were waited because of it. Shared between
    threads."""

    refused: int = 0
    seconds: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, seconds: float) -> None:
        with self._lock:
            self.refused += 1
            self.seconds += seconds


class TooLate(Exception):
    """A task has not ended within its time. task: as last seen."""

    def __init__(self, task: dict[str, Any], seconds: float) -> None:
        counts = {name: number for name, number in task.get("counts", {}).items() if number}
        super().__init__(f"task {task['task_id']} is still {task['status']} after {seconds:.0f} s: {counts}")
        self.task = task


class Api:
    """Keeps its connection; not to be shared between threads. pauses: where it is counted that the server had no room.
    patience: seconds for
    which such a request is repeated."""

    def __init__(
        self, url: str, token: str, timeout: float = 90.0, *, pauses: Pauses | None = None, patience: float = PATIENCE
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"--server: {url!r} is not like http://127.0.0.1:8440")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname, parts.port, timeout=timeout)
        self._headers = {"Authorization": f"Bearer {token}"}
        self.pauses, self._patience = pauses or Pauses(), patience

    def __enter__(self) -> Api:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def raw(self, method: str, path: str, body: object = None, accept: str = "application/json") -> bytes:
        """Raises Refused, Unreachable. A GET is tried a second time on a new connection. What the server has no room
        for is sent again after the
        time that it names, for a while."""
        until = time.monotonic() + self._patience
        while True:
            status, headers, content = self._once(method, path, body, accept)
            if status < 300:
                return content
            pause = _pause(headers, content)
            if pause is None or time.monotonic() + pause > until:
                raise Refused(status, f"{method} {path}: {content[:500].decode(errors='replace')}")
            self.pauses.add(pause)
            time.sleep(pause)

    def _once(self, method: str, path: str, body: object, accept: str) -> tuple[int, http.client.HTTPMessage, bytes]:
        data = orjson.dumps(body) if body is not None else None
        headers = {**self._headers, "Accept": accept, **({"Content-Type": "application/json"} if data else {})}
        for last in (method != "GET", True):
            self._drop_if_closed()
            try:
                self._connection.request(method, path, data, headers)
                answer = self._connection.getresponse()
                content = answer.read()
                break
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                if last:
                    raise Unreachable(f"{method} {path}: {error!r}") from error
        return answer.status, answer.headers, content

    def _drop_if_closed(self) -> None:
        """Servers close connections that were idle for long. A request on such a connection gets no answer, and only a
        GET may be sent twice."""
        sock = self._connection.sock
        if sock is not None and select.select([sock], [], [], 0)[0]:
            self._connection.close()

    def json(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        answer: dict[str, Any] = orjson.loads(self.raw(method, f"/api/v1{path}", body))
        return answer

    def ready(self) -> bool:
        try:
            self.raw("GET", "/health/ready")
        except (Refused, Unreachable):
            return False
        return True

    def fresh(self) -> None:
        """The next request gets a connection of its own."""
        self._connection.close()

    def wait_final(self, task: dict[str, Any], within: float) -> dict[str, Any]:
        """The task once it has ended, by long poll. Raises TooLate."""
        begin = time.monotonic()
        while task["status"] not in FINAL:
            left = begin + within - time.monotonic()
            if left <= 0:
                raise TooLate(task, within)
            query = urlencode({"wait": round(min(left, 30.0), 3), "since": task["version"]})
            task = self.json("GET", f"/tasks/{task['task_id']}?{query}")
        return task

    def rows(self, task_id: str) -> Iterator[dict[str, Any]]:
        """All executions of a task, page by page."""
        after: str | None = None
        while True:
            query = urlencode({"limit": PAGE, **({"after": after} if after else {})})
            page = self.json("GET", f"/tasks/{task_id}/hosts?{query}")
            yield from page["items"]
            if page["next"] is not None and after is not None and page["next"] <= after:
                raise Refused(200, f"the pages of task {task_id} do not go on after {after}")
            after = page["next"]
            if after is None:
                return

    def output(self, task_id: str, host_id: str, part: str = "head") -> bytes:
        """What was kept of one host's stdout."""
        query = urlencode({"stream": "stdout", "part": part})
        return self.raw(
            "GET", f"/api/v1/tasks/{task_id}/hosts/{quote(host_id)}/output?{query}", accept="application/octet-stream"
        )


def _pause(headers: http.client.HTTPMessage, content: bytes) -> float | None:
    """Seconds after which the same request may be sent again; None: it may not."""
    try:
        code = orjson.loads(content)["error"]["code"]
        seconds = float(headers["Retry-After"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return None
    return min(max(seconds, 0.0), LONGEST_PAUSE) if code in NOT_TAKEN else None
