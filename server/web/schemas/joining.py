"""Responses about join tokens and join requests."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from server.web.schemas.fields import Cursor


class JoinTokenView(Struct, kw_only=True):
    """A join token, without its text."""

    token_id: Annotated[str, Meta(description="The public part of its text, jt_ID_….")]
    expires_at: int
    uses_left: int
    labels: Annotated[dict[str, str], Meta(description="Labels that every host receives that joins with it.")]
    networks: Annotated[
        list[str], Meta(description="CIDR blocks from which hosts may join with it; empty allows all addresses.")
    ]
    approve: Annotated[bool, Meta(description="Each join waits until an operator approves it.")]
    replace: Annotated[
        bool, Meta(description="A host that joins with it replaces offline hosts that have the same name.")
    ]
    created_by: str
    created_at: int


class JoinTokenCreated(JoinTokenView, kw_only=True):
    """A new join token."""

    token: Annotated[str, Meta(description="Its text. Only this response contains it.")]
    ca_pin: Annotated[str | None, Meta(description="For `clarion-agent join --ca-pin`; null on a server without TLS.")]
    enrol_host: Annotated[str | None, Meta(description="Address on which the enrolment port listens.")]
    enrol_port: int | None


class JoinTokenPage(Struct, kw_only=True):
    """One page of join tokens."""

    items: list[JoinTokenView]
    next: Cursor


class JoinRequestView(Struct, kw_only=True):
    """A request to join that needs an operator's decision."""

    request_id: Annotated[
        str, Meta(description="Derived from the token and the host's key; the agent writes it to its log.")
    ]
    state: Annotated[str, Meta(description="pending, approved (the host joins when it asks next) or denied.")]
    hostname: Annotated[str, Meta(description="The name that the host claims.")]
    address: Annotated[str, Meta(description="The address of the host's first request.")]
    previous_host_id: Annotated[str | None, Meta(description="The host id of a host that joins again.")]
    token_id: str
    created_at: int
    expires_at: Annotated[int, Meta(description="When the server deletes the request.")]
    decided_at: int | None
    decided_by: str | None


class JoinRequestPage(Struct, kw_only=True):
    """One page of join requests."""

    items: list[JoinRequestView]
    next: Cursor
