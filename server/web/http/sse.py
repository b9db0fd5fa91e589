"""Server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html."""

from __future__ import annotations

from server.web.http.route import Param

KIND = "text/event-stream"
RESUME = Param(
    "after", "string", "The `id` of the last event that you received, for clients that cannot send Last-Event-ID."
)
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
BEAT = b": beat\n\n"
"""A comment that keeps the connection open. A browser does not pass it to the page."""


def event(name: str, data: bytes, event_id: str = "") -> bytes:
    """Encode an event. `data` is JSON without line breaks; `event_id` is the id from which a client can resume."""
    return (
        (b"id: " + event_id.encode() + b"\n" if event_id else b"")
        + b"event: "
        + name.encode()
        + b"\ndata: "
        + data
        + b"\n\n"
    )


def beat(seconds: float) -> bytes:
    """An event that shows the page that the connection works. `seconds` is the maximum time until the next event."""
    return event("beat", str(seconds).encode())
