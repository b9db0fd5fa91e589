"""Client of the REST API. Every failure is a CliFailure."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

import httpx
import orjson

from server.cli.client import started
from server.cli.client.connection import ServerLocation
from server.cli.client.errors import CliFailure, ServerRefused, Unreachable
from server.cli.standard_streams import say
from server.errors import USAGE

CONNECT_TIMEOUT, READ_TIMEOUT = 5.0, 60.0
"""Seconds."""
TRIES = 3
"""Maximum number of attempts of a repeatable request whose connection breaks."""
PAGE = 200
"""Items per page of a list."""
BUSY_LIMIT = 60.0
"""Seconds for which a request to a busy server is repeated."""
_NOTHING_DONE = ("overloaded", "shutting_down", "enrolment_busy")
"""Errors that mean that the server did not process the request."""
_NO_USE = ("too_many_logins", "too_many_viewers", "too_many_watched", "lease_held", "fenced", "join_queue_full")
"""Errors of a busy server for which a minute's wait does not help."""

Json = dict[str, Any]


class Api:
    """Sends requests to one server. Paths are relative to /api/v1.

    A request that is safe to repeat is repeated up to TRIES times if its connection breaks.
    """

    def __init__(self, place: ServerLocation, *, connect_timeout: float = CONNECT_TIMEOUT) -> None:
        self.server = place.server
        self.token_from = place.token.source
        self._connect_timeout = connect_timeout
        self._date: tuple[float, float] | None = None
        self._client = httpx.Client(
            base_url=f"{place.server}/api/v1/",
            headers={"Authorization": f"Bearer {place.token}", "Accept": "application/json"},
            timeout=httpx.Timeout(READ_TIMEOUT, connect=connect_timeout),
            trust_env=not place.local,
            follow_redirects=False,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
        )

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def get(
        self,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout: float = READ_TIMEOUT,
        tries: int = TRIES,
        patient: bool = True,
    ) -> Json:
        """Send a GET request. With `patient` it is repeated for BUSY_LIMIT seconds while the server is busy."""
        return self._ask("GET", path, params=params, timeout=timeout, tries=tries, patient=patient)

    def launch(self, path: str, body: Json, key: str) -> Json:
        """Start a task, and record in `started` what is known about it."""
        started.sent(key)
        try:
            task = self.post(path, body, key=key)
        except CliFailure as failure:
            if not failure.maybe_done:
                started.refused()
            raise
        started.task(str(task["task_id"]), ours=True)
        return task

    @property
    def now_ms(self) -> float:
        """The server's wall clock in milliseconds: its last response's date plus the time since.

        Ages are computed with one clock.
        """
        if self._date is None:
            return time.time() * 1000
        return (self._date[0] + time.monotonic() - self._date[1]) * 1000

    def page(self, task_id: str) -> str:
        """Return the URL of the task's page."""
        return f"{self.server}/tasks/{segment(task_id)}"

    def post(self, path: str, body: Json | None = None, *, key: str | None = None) -> Json:
        """Send a POST request. With an idempotency key it is safe to repeat, because the server detects repetitions."""
        headers = {"Idempotency-Key": key} if key else {}
        return self._ask("POST", path, body=body, headers=headers, tries=TRIES if key else 1)

    def patch(self, path: str, body: Json) -> Json:
        """Send a PATCH request."""
        return self._ask("PATCH", path, body=body, tries=1)

    def delete(self, path: str) -> Json:
        """Send a DELETE request."""
        return self._ask("DELETE", path, tries=1)

    def pages(self, path: str, params: Mapping[str, Any], limit: int | None = None) -> Iterator[list[Json]]:
        """Yield the items of a list page by page, at most `limit` in total; None means all."""
        after: str | None = None
        left = limit
        while left is None or left > 0:
            size = PAGE if left is None else min(PAGE, left)
            answer = self.get(path, {**params, "limit": size, **({"after": after} if after else {})})
            items: list[Json] = answer["items"]
            if items:
                yield items
            after = answer.get("next")
            if not after:
                return
            left = None if left is None else left - len(items)

    def events(self, path: str, last: str = "") -> Iterator[tuple[str, str, Json]]:
        """Yield id, name and data of server-sent events until the server ends the stream.

        Args:
            path: Path of the stream.
            last: Id of the last event that was received; the stream continues after it.

        Raises:
            CliFailure: The server refused the request, or the connection broke.
        """
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": last} if last else {})}
        timeout = httpx.Timeout(READ_TIMEOUT, connect=CONNECT_TIMEOUT)
        try:
            with self._client.stream("GET", path, headers=headers, timeout=timeout) as response:
                if not response.is_success:
                    response.read()
                    self._read(response)
                    return
                fields: dict[str, str] = {}
                for line in response.iter_lines():
                    name, _, value = line.partition(": ")
                    if name:
                        fields[name] = value
                    elif line == "" and "event" in fields:
                        data = orjson.loads(fields.get("data", "null"))
                        yield fields.get("id", ""), fields["event"], data if isinstance(data, dict) else {"why": data}
                    if line == "":
                        fields = {}
        except httpx.HTTPError as error:
            raise _broken_off(self.server, error) from None

    def _ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Json | None = None,
        headers: dict[str, str] | None = None,
        timeout: float = READ_TIMEOUT,
        tries: int,
        patient: bool = True,
    ) -> Json:
        content = None if body is None else orjson.dumps(body)
        sent = {**(headers or {}), **({"Content-Type": "application/json"} if content is not None else {})}
        began, broken, told, maybe_done = time.monotonic(), 0, False, False
        while True:
            try:
                response = self._client.request(
                    method,
                    path,
                    params=dict(params or {}),
                    content=content,
                    headers=sent,
                    timeout=httpx.Timeout(timeout, connect=self._connect_timeout),
                )
                return self._read(response)
            except ServerRefused as refusal:
                maybe_done = maybe_done or (refusal.status >= 500 and refusal.code not in _NOTHING_DONE)
                pause = (
                    _pause(refusal, time.monotonic() - began)
                    if patient and (tries > 1 or refusal.code in _NOTHING_DONE)
                    else None
                )
                if pause is None:
                    refusal.maybe_done = maybe_done
                    raise
                if not told:
                    told = True
                    say(f"the server is busy: {refusal.message}; trying again for up to {BUSY_LIMIT:.0f} s", err=True)
                time.sleep(pause)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = _no_server(self.server, error)
                failure.maybe_done = maybe_done
                raise failure from None
            except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
                raise CliFailure(
                    USAGE,
                    f"{self.server} is not the address of a server: {error}",
                    "write it as in http://127.0.0.1:8440",
                ) from None
            except httpx.HTTPError as error:
                broken, maybe_done = broken + 1, True
                if broken >= tries:
                    failure = _broken_off(self.server, error)
                    failure.maybe_done = True
                    raise failure from None
                time.sleep(0.2)

    def _read(self, response: httpx.Response) -> Json:
        if (date := _date(response.headers.get("Date"))) is not None:
            self._date = (date, time.monotonic())
        if response.status_code == 204:
            return {}
        try:
            document = orjson.loads(response.content)
        except orjson.JSONDecodeError:
            document = None
        if not isinstance(document, dict):
            raise Unreachable(
                f"the program at {self.server} is not Clarion: status {response.status_code}, no JSON object",
                "name the right address with --server or CLARION_SERVER",
            )
        if response.is_success:
            return document
        error = document.get("error")
        refusal = ServerRefused(
            response.status_code,
            error if isinstance(error, dict) else {},
            _seconds(response.headers.get("Retry-After")),
        )
        if refusal.code == "unauthenticated":
            refusal.hint = (
                f"it was that of {self.token_from}; name another with --token-file, CLARION_TOKEN or CLARION_TOKEN_FILE"
            )
        raise refusal


def _date(text: str | None) -> float | None:
    """Parse a Date header to seconds since 1970."""
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except ValueError:
        return None


def _no_server(server: str, error: httpx.TransportError) -> CliFailure:
    if "WRONG_VERSION_NUMBER" in str(error):
        return Unreachable(
            f"the program at {server} does not use TLS",
            f"write http://{server.partition('://')[2]} if this is the server's REST port",
        )
    return Unreachable(
        f"no server answers at {server}: {error}",
        "start one with 'make run' or 'clarion-server run --init', or name another with --server or CLARION_SERVER",
    )


def _broken_off(server: str, error: httpx.HTTPError) -> Unreachable:
    return Unreachable(
        f"the connection to the server at {server} broke: {str(error) or type(error).__name__}",
        "try again; if it fails again, read the server's log",
    )


def _pause(refusal: ServerRefused, spent: float) -> float | None:
    """Return the seconds after which a refused request is repeated; None if it is not repeated."""
    if refusal.status not in (429, 503) or refusal.retry_after is None or refusal.code in _NO_USE:
        return None
    return max(refusal.retry_after, 0.2) if spent + refusal.retry_after <= BUSY_LIMIT else None


def _seconds(text: str | None) -> float | None:
    """Parse a Retry-After header: seconds, or a date (RFC 9110 section 10.2.3), for which a short wait is used."""
    if not text:
        return None
    try:
        return min(max(float(text), 0.0), 86_400.0)
    except ValueError:
        return 5.0


def segment(text: str) -> str:
    """Quote an id or a name for use as one part of a path."""
    if text in ("", ".", ".."):
        raise CliFailure(USAGE, f"{text!r} is not an id", "copy it from a list")
    return quote(text, safe="")
