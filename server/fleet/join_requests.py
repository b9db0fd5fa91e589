"""Joins that wait for an operator's decision, in memory. They are never older than the store."""

from __future__ import annotations

from collections.abc import Iterable

from server.core.model import JoinRequest


class JoinRequests:
    """Join requests by id. All times are milliseconds since 1970."""

    def __init__(self, known: Iterable[JoinRequest] = ()) -> None:
        """Start with the requests of the store."""
        self._known = {request.request_id: request for request in known}

    def get(self, request_id: str, now: int) -> JoinRequest | None:
        """Return a request, or None if there is none or it has expired."""
        found = self._known.get(request_id)
        return found if found is not None and now < found.expires_at else None

    def put(self, request: JoinRequest) -> None:
        """Add or replace a request."""
        self._known[request.request_id] = request

    def remove(self, request_id: str) -> None:
        """Remove a request."""
        self._known.pop(request_id, None)

    def all(self, now: int) -> list[JoinRequest]:
        """Return all requests that have not expired, sorted by id."""
        return sorted((one for one in self._known.values() if now < one.expires_at), key=lambda one: one.request_id)

    def take_expired(self, now: int) -> list[str]:
        """Remove expired requests and return their ids."""
        gone = [one.request_id for one in self._known.values() if now >= one.expires_at]
        for request_id in gone:
            del self._known[request_id]
        return gone

    def __len__(self) -> int:
        """Return the number of requests, expired ones included."""
        return len(self._known)
