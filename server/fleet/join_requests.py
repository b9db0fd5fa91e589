"""Joins that wait for an operator's word, in memory; the store has them too, this is never behind."""

from __future__ import annotations

from collections.abc import Iterable

from server.core.model import JoinRequest


class JoinRequests:
    """request_id → JoinRequest."""

    def __init__(self, known: Iterable[JoinRequest] = ()) -> None:
        self._known = {request.request_id: request for request in known}

    def get(self, request_id: str, now: int) -> JoinRequest | None:
        """None also for one that is out of date. now: milliseconds since 1970."""
        found = self._known.get(request_id)
        return found if found is not None and now < found.expires_at else None

    def put(self, request: JoinRequest) -> None:
        self._known[request.request_id] = request

    def remove(self, request_id: str) -> None:
        self._known.pop(request_id, None)

    def all(self, now: int) -> list[JoinRequest]:
        """By id, those out of date left out."""
        return sorted((one for one in self._known.values() if now < one.expires_at), key=lambda one: one.request_id)

    def take_expired(self, now: int) -> list[str]:
        """Forget those that are out of date; their ids."""
        gone = [one.request_id for one in self._known.values() if now >= one.expires_at]
        for request_id in gone:
            del self._known[request_id]
        return gone

    def __len__(self) -> int:
        return len(self._known)
