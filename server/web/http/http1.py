"""HTTP/1.1 on the REST port: hypercorn's protocol object with stricter parsing, and without other protocols.

HTTP/2 is left out because no client needs it: the page, the CLI and event streams use HTTP/1.1, and browsers use HTTP/2
over TLS only. An HTTP/2 peer could also make a server do much more work. WebSockets are left out because no route uses
them: an `Upgrade` header is ignored, as RFC 9110 section 7.8 allows.

h11 parses the requests. This module refuses requests that h11 accepts although a proxy and a server may read them
differently (RFC 9112 sections 2.2, 5.2 and 6.1).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from typing import Any

import h11
import orjson
from hypercorn.events import Closed, RawData, Updated
from hypercorn.protocol.events import Body, EndBody, Request
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol
from hypercorn.protocol.http_stream import HTTPStream

from server.errors import ClarionError
from server.web.http.proxies import TrustedProxies

_LINES = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)|\n[ \t]")
"""A line feed or a carriage return alone, or a line that continues the previous one (obs-fold)."""
_ABSOLUTE = re.compile(rb"https?://([^/?#]*)([^#]*)", re.IGNORECASE)
REFUSAL_HEADERS = (("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"))
_HOST = re.compile(rb"[A-Za-z0-9._~%!$&'()*+,;=:\[\]-]*\Z")


class RequestRefused(Exception):
    """The request is refused. The connection is closed after the response."""

    def __init__(self, code: str, message: str) -> None:
        self.error = ClarionError(code, message)
        super().__init__(message)


def check_head(data: bytes, most: int) -> None:
    """Raise RequestRefused if the head of a request, complete or not, is longer than `most` bytes or has ambiguous
    lines."""
    end = data.find(b"\r\n\r\n")
    if (end if end >= 0 else len(data)) > most:
        raise RequestRefused("headers_too_large", f"the head of the request is larger than {most} bytes")
    if (found := _LINES.search(data, 0, end + 2 if end >= 0 else len(data))) is not None:
        what = (
            "a header line that continues the one before"
            if found[0][:1] == b"\n" and len(found[0]) == 2
            else "a line that does not end with CR LF"
        )
        raise RequestRefused("malformed_request", f"the request has {what}")


def target_of(request: h11.Request) -> tuple[bytes, bytes | None]:
    """The path with the query, and the host that an absolute target names. Raises RequestRefused."""
    target = request.target
    if target[:1] == b"/":
        return target, None
    if target == b"*" and request.method == b"OPTIONS":
        return b"/*", None
    if request.method != b"CONNECT" and (absolute := _ABSOLUTE.match(target)) is not None and absolute[1]:
        rest = absolute[2]
        return rest if rest[:1] == b"/" else b"/" + rest, absolute[1]
    raise RequestRefused(
        "malformed_request",
        (
            f"{request.method[:20].decode('ascii')} {target[:60].decode('ascii')!r} is not a request for a path of "
            f"this server"
        ),
    )


def check_request(request: h11.Request, fields: int) -> None:
    """Raise RequestRefused for requests that h11 accepts and this server does not. `fields` limits the number of header
    lines."""
    if request.http_version not in (b"1.1", b"1.0"):
        raise RequestRefused("http_version", f"the request is HTTP/{request.http_version.decode('ascii')}")
    names = [name for name, _ in request.headers]
    if len(names) > fields:
        raise RequestRefused(
            "headers_too_large", f"the request has {len(names)} header lines; at most {fields} are accepted"
        )
    if b"transfer-encoding" in names:
        if b"content-length" in names:
            raise RequestRefused("malformed_request", "the request has both Content-Length and Transfer-Encoding")
        if request.http_version == b"1.0":
            raise RequestRefused("malformed_request", "an HTTP/1.0 request has no Transfer-Encoding")
    for name, value in request.headers:
        if name == b"host" and not _HOST.match(value):
            raise RequestRefused("malformed_request", "the Host header is not a host")


class Http1(H11Protocol):
    """One HTTP/1.1 connection.

    Args:
        arguments: As for H11Protocol.
        proxies: Proxies whose forwarding headers are trusted.
        fields: Maximum number of header lines of a request.
        refused: Called with the error code of each refused request.
    """

    def __init__(self, *arguments: Any, proxies: TrustedProxies, fields: int, refused: Callable[[str], None]) -> None:
        super().__init__(*arguments)
        self._peer, self._proxies, self._fields, self._on_refused = self.client, proxies, fields, refused
        self._bodiless = False

    async def _handle_events(self) -> None:
        while True:
            if self.connection.they_are_waiting_for_100_continue:
                await self._send_h11_event(h11.InformationalResponse(status_code=100, headers=[]))
            try:
                event = self._next()
                if isinstance(event, h11.Request):
                    await self.send(Updated(idle=False))
                    await self._begin(event)
                    continue
            except h11.RemoteProtocolError as error:
                await self._refuse(_error_for(error))
                return
            except RequestRefused as refused:
                await self._refuse(refused.error)
                return
            if event is h11.PAUSED:
                await self.can_read.clear()
                await self.can_read.wait()
            elif isinstance(event, h11.ConnectionClosed) or event is h11.NEED_DATA or self.stream is None:
                return
            elif isinstance(event, h11.Data):
                await self.stream.handle(Body(stream_id=STREAM_ID, data=event.data))
            elif isinstance(event, h11.EndOfMessage):
                await self.stream.handle(EndBody(stream_id=STREAM_ID))

    def _next(self) -> Any:
        """The next event. Raises RequestRefused, h11.RemoteProtocolError."""
        if self.connection.their_state is h11.IDLE:
            check_head(self.connection.trailing_data[0], self.config.h11_max_incomplete_size)
        return self.connection.next_event()

    async def _begin(self, request: h11.Request) -> None:
        """Pass the request to the app. Raises RequestRefused."""
        self._bodiless = request.method == b"HEAD"
        check_request(request, self._fields)
        target, host = target_of(request)
        headers: Sequence[tuple[bytes, bytes]] = list(request.headers)
        if host is not None:  # RFC 9112 section 3.2.2: an absolute target overrides the Host header
            headers = [(b"host", host), *(pair for pair in headers if pair[0] != b"host")]
        self.client, secure = self._proxies.client(self._peer, headers)
        self.stream = HTTPStream(
            self.app,
            self.config,
            self.context,
            self.task_group,
            secure,
            self.client,
            self.server,
            self.stream_send,
            STREAM_ID,
        )
        version, method = request.http_version.decode("ascii"), request.method.decode("ascii")
        await self.stream.handle(
            Request(
                stream_id=STREAM_ID,
                headers=headers,  # type: ignore[arg-type]
                http_version=version,
                method=method,
                raw_path=target,
                state=self.connection_state,
            )
        )
        self.keep_alive_requests += 1

    async def _refuse(self, error: ClarionError) -> None:
        """Send an error response, unless a response has begun, and close the connection: the start of the next request
        is unknown."""
        self._on_refused(error.code)
        if self.connection.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            request_id = os.urandom(8).hex()
            shape: dict[str, dict[str, object]] = error.as_json()  # type: ignore[assignment]
            body = orjson.dumps({"error": shape["error"] | {"request_id": request_id}})
            headers = [
                ("Content-Type", "application/json"),
                ("Content-Length", str(len(body))),
                ("Connection", "close"),
                ("X-Request-Id", request_id),
                *REFUSAL_HEADERS,
            ]
            parts = (
                h11.Response(status_code=error.problem.http, headers=headers),
                h11.Data(data=b"" if self._bodiless else body),
                h11.EndOfMessage(),
            )
            answer = b"".join(self.connection.send(part) or b"" for part in parts)
            await self.send(RawData(data=answer))
        await self.send(Closed())


def _error_for(error: h11.RemoteProtocolError) -> ClarionError:
    """The error for a protocol error. h11's message quotes the peer's bytes, so it is not repeated."""
    if error.error_status_hint == 431:
        return ClarionError("headers_too_large")
    if error.error_status_hint == 501:
        return ClarionError("transfer_coding")
    return ClarionError("malformed_request")
