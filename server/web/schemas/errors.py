"""Error responses."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

Code = Annotated[str, Meta(description="Stable; see docs/reference/errors.md.")]
Field = Annotated[str | None, Meta(description="Dotted name of the wrong field, query parameter or header.")]
Hint = Annotated[str, Meta(description="What to do.")]
RequestId = Annotated[str, Meta(description="The same as in X-Request-Id and in the server's log.")]


class ErrorDetail(Struct, kw_only=True):
    """One error. Some codes have further members, such as `unknown` and `malformed` of unknown_hosts."""

    code: Code
    message: str
    field: Field
    hint: Hint
    request_id: RequestId


class ErrorBody(Struct, kw_only=True):
    """The shape of every error response."""

    error: ErrorDetail


class ProblemDetails(Struct, kw_only=True):
    """An error as RFC 9457 problem details, for clients that accept application/problem+json. Some codes have further
    members."""

    type: Annotated[str, Meta(description="`urn:clarion:error:CODE`.")]
    title: Annotated[str, Meta(description="The general meaning of the code.")]
    status: int
    detail: Annotated[str, Meta(description="What is wrong with this request.")]
    code: Code
    field: Field
    hint: Hint
    request_id: RequestId
