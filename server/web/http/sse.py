"""Server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html."""

from __future__ import annotations

KIND = "text/event-stream"
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
BEAT = b": beat\n\n"
"""A comment: it keeps the connection, and a browser does not show it to its page."""


def event(name: str, data: bytes, ident: str = "") -> bytes:
    """data: JSON, which has no line breaks in it. ident: what the viewer shows to go on after it."""
    return (
        (b"id: " + ident.encode() + b"\n" if ident else b"") + b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"
    )


def beat(seconds: float) -> bytes:
    """A sign of life that a page can see. seconds: until the next one at the latest, when nothing else is sent."""
    return event("beat", str(seconds).encode())
