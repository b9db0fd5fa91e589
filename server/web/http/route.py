"""The row type of the route table, from which the router, the access checks and the OpenAPI description are made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from server.web.http.auth import Access
from server.web.http.limits import Limits

API = "/api/v1"
Schema = Mapping[str, Any]
"""Keywords of a JSON schema."""


@dataclass(frozen=True, slots=True)
class Param:
    """A query parameter.

    Attributes:
        name: Its name.
        kind: Its JSON schema type.
        description: Its description in the OpenAPI document.
        many: May be repeated, or contain a list with commas.
        choices: All accepted values.
        example: An example.
        required: A request without it is refused.
        deprecated: The earlier name of another parameter.
        schema: Keywords of its schema; by default those of server/web/openapi/bounds.py.
    """

    name: str
    kind: Literal["string", "integer", "number", "boolean"]
    description: str
    many: bool = False
    choices: tuple[str, ...] = ()
    example: object = None
    required: bool = False
    deprecated: bool = False
    schema: Schema | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """A route. The handler's docstring becomes the description of the operation.

    Attributes:
        method: HTTP method.
        path: Path for the router, with `<name>` for variable parts.
        access: The access rule.
        tag: Tag in the OpenAPI document.
        answer: Struct of the response, or the media type of a response that is not JSON.
        status: Status of a successful response.
        body: Struct of the request body.
        params: Query parameters.
        errors: Error codes besides those that every route can return.
        fields: Makes keywords for the fields of the body, by field; besides those of server/web/openapi/bounds.py.
        body_rule: Keywords for the body as a whole, such as which fields exclude each other.
        in_path: Keywords and `description` of variable parts, by name; besides those of server/web/openapi/bounds.py.
    """

    method: Literal["GET", "POST", "PATCH", "DELETE"]
    path: str
    access: Access
    handler: Callable[..., Awaitable[Any]]
    """Called as (ApiRequest, **path), returns an ApiResponse."""
    tag: str
    answer: type[msgspec.Struct] | str | None = None
    status: int = 200
    body: type[msgspec.Struct] | None = None
    optional: bool = False
    """A missing body is treated as an empty object."""
    params: tuple[Param, ...] = ()
    errors: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    """Request headers with their descriptions."""
    also: dict[int, str] = field(default_factory=dict)
    """Further successful responses with the same body: status → description."""
    raw: bool = False
    """Can also return application/octet-stream."""
    fields: Callable[[Limits], Mapping[str, Schema]] | None = None
    body_rule: Schema | None = None
    in_path: Mapping[str, Schema] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Unique name, also used as the operationId, such as `get_tasks_progress`."""
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
