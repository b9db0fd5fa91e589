"""Server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html."""

from __future__ import annotations

KIND = "text/event-stream"
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
BEAT = b": beat\n\n"


def event(name: str, data: bytes, ident: str = "") -> bytes:
    """data: JSON, which has no line breaks in it. ident: what the viewer shows to go on after it."""
    return (b"id: " + ident.encode() + b"\n" if ident else b"") + b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"
