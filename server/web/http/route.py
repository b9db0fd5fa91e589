"""What a route is: one row of the table in `routes.py`, from which router, authorisation and OpenAPI are made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from server.web.http.auth import Access

API = "/api/v1"


@dataclass(frozen=True, slots=True)
class Param:
    """A query parameter. kind: its JSON schema type. many: may be repeated, or hold a list with commas. `choices`: all
    values allowed.
    required: the request is refused without it. deprecated: the earlier name of another one."""

    name: str
    kind: Literal["string", "integer", "number", "boolean"]
    description: str
    many: bool = False
    choices: tuple[str, ...] = ()
    example: object = None
    required: bool = False
    deprecated: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """path: as for the router, `<name>` for what varies. The handler's docstring is the operation's description.

    answer: a Struct, or the media type of an answer that is not JSON. errors: codes beyond those every route can give.
    """

    method: Literal["GET", "POST", "PATCH", "DELETE"]
    path: str
    access: Access
    handler: Callable[..., Awaitable[Any]]
    """(Call, **path) → Reply."""
    tag: str
    answer: type[msgspec.Struct] | str | None = None
    status: int = 200
    body: type[msgspec.Struct] | None = None
    optional: bool = False
    """A request without a body is taken as an empty object."""
    params: tuple[Param, ...] = ()
    errors: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    """Request headers with their description."""
    also: dict[int, str] = field(default_factory=dict)
    """Further good answers with the same body: status → description."""
    raw: bool = False
    """Can also answer application/octet-stream."""

    @property
    def name(self) -> str:
        """Unique; also the operationId, e.g. `get_tasks_progress`."""
        words = [part for part in self.path.removeprefix(API).replace(".", "_").split("/") if part]
        kind = ["page"] if self.access is Access.SHELL else []
        return (
            "_".join(
                [
                    self.method.lower(),
                    *kind,
                    *(word.strip("<>").replace(":", "_") if word.startswith("<") else word for word in words),
                ]
            )
            or "root"
        )
