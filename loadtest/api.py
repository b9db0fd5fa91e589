"""Client of the server's REST API, with one connection."""

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
"""Seconds for which a request that the server refuses for lack of capacity is repeated."""
LONGEST_PAUSE = 10.0
"""Maximum seconds between two attempts, whatever the server asks for."""
NOT_TAKEN = ("overloaded",)
"""Error codes of requests that had no effect and may be sent again."""
FINAL = ("completed", "failed", "canceled", "timeout")


class Unreachable(Exception):
    """The server gave no answer."""


class Refused(Exception):
    """The server answered with an error. `status` is the HTTP status."""

    def __init__(self, status: int, what: str) -> None:
        super().__init__(f"{status}: {what}")
        self.status = status


@dataclass(slots=True)
class CapacityPauses:
    """Counts requests refused for lack of capacity, and the seconds waited because of them. Shared between threads."""

    refused: int = 0
    seconds: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, seconds: float) -> None:
        with self._lock:
            self.refused += 1
            self.seconds += seconds


class TooLate(Exception):
    """A task has not ended within its time. `task` is its last known state."""

    def __init__(self, task: dict[str, Any], seconds: float) -> None:
        counts = {name: number for name, number in task.get("counts", {}).items() if number}
        super().__init__(f"task {task['task_id']} is still {task['status']} after {seconds:.0f} s: {counts}")
        self.task = task


class Api:
    """REST client for one thread; keeps its connection.

    Args:
        url: Address of the server.
        token: API token.
        timeout: Seconds for one request.
        pauses: Counts refusals for lack of capacity.
        patience: Seconds for which such a request is repeated.
    """

    def __init__(
        self,
        url: str,
        token: str,
        timeout: float = 90.0,
        *,
        pauses: CapacityPauses | None = None,
        patience: float = PATIENCE,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"--server: {url!r} is not like http://127.0.0.1:8440")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname, parts.port, timeout=timeout)
        self._headers = {"Authorization": f"Bearer {token}"}
        self.pauses, self._patience = pauses or CapacityPauses(), patience

    def __enter__(self) -> Api:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def raw(self, method: str, path: str, body: object = None, accept: str = "application/json") -> bytes:
        """Send a request and return the body of the answer.

        A GET is tried a second time on a new connection. A request refused for lack of capacity is repeated after the
        time that the server names, for up to `patience` seconds.

        Raises:
            Refused: The server answered with an error.
            Unreachable: There was no answer.
        """
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
        """Close a connection that the server has closed after an idle time. Only a GET may be sent twice."""
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
        """Use a new connection for the next request."""
        self._connection.close()

    def wait_final(self, task: dict[str, Any], within: float) -> dict[str, Any]:
        """Wait for the end of a task by long polling and return it.

        Raises:
            TooLate: It has not ended within `within` seconds.
        """
        begin = time.monotonic()
        while task["status"] not in FINAL:
            left = begin + within - time.monotonic()
            if left <= 0:
                raise TooLate(task, within)
            query = urlencode({"wait": round(min(left, 30.0), 3), "since": task["version"]})
            task = self.json("GET", f"/tasks/{task['task_id']}?{query}")
        return task

    def rows(self, task_id: str) -> Iterator[dict[str, Any]]:
        """Yield all executions of a task, page by page."""
        after: str | None = None
        while True:
            query = urlencode({"limit": PAGE, **({"after": after} if after else {})})
            page = self.json("GET", f"/tasks/{task_id}/hosts?{query}")
            yield from page["items"]
            if page["next"] is not None and after is not None and page["next"] <= after:
                raise Refused(200, f"the pages of task {task_id} do not continue after {after}")
            after = page["next"]
            if after is None:
                return

    def output(self, task_id: str, host_id: str, part: str = "head") -> bytes:
        """Return the kept part of one host's stdout."""
        query = urlencode({"stream": "stdout", "part": part})
        return self.raw(
            "GET", f"/api/v1/tasks/{task_id}/hosts/{quote(host_id)}/output?{query}", accept="application/octet-stream"
        )


def _pause(headers: http.client.HTTPMessage, content: bytes) -> float | None:
    """Return the seconds after which the same request may be sent again, or None if it may not."""
    try:
        code = orjson.loads(content)["error"]["code"]
        seconds = float(headers["Retry-After"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return None
    return min(max(seconds, 0.0), LONGEST_PAUSE) if code in NOT_TAKEN else None
