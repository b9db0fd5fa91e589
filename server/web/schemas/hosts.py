"""Responses about hosts, their identities, selections of hosts, and orphans."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from server.web.schemas.fields import Cursor


class IdentityView(Struct, kw_only=True):
    """The state of a host's certificates."""

    state: Annotated[
        str,
        Meta(
            description=(
                "enrolled, revoked, quarantined, or released. A released host may join again; until it has joined, the "
                "server refuses its agent."
            )
        ),
    ]
    generation: Annotated[int, Meta(description="Increases with every renewal.")]
    certificate_expires_at: Annotated[int, Meta(description="Of the newest certificate issued to the host.")]
    revoked_at: int | None
    revoked_by: str | None
    quarantined_at: int | None
    quarantine_reason: str | None


class HostView(Struct, kw_only=True):
    """A host."""

    host_id: str
    hostname: Annotated[
        str, Meta(description="The name that an operator has set, otherwise the name that the agent reports.")
    ]
    selector: Annotated[
        str, Meta(description="A selector that matches this host only: its name, quoted if necessary, or its id.")
    ]
    given_name: Annotated[
        str | None, Meta(description="The name that an operator has set; null if the agent's name is used.")
    ]
    former_names: Annotated[
        list[str], Meta(description="Earlier names, the last one first. They also find tasks of that time.")
    ]
    replaced_by: Annotated[
        str | None,
        Meta(description="The id of the host that replaced it. A replaced host can be selected by its id only."),
    ]
    replaced_at: int | None
    ip: str
    os: str
    arch: str
    version: Annotated[str, Meta(description="Version of the agent.")]
    labels: Annotated[dict[str, str], Meta(description="Labels set by operators.")]
    agent_labels: Annotated[
        dict[str, str],
        Meta(description="Labels from the agent's configuration. An operator's label with the same name overrides it."),
    ]
    connected: bool
    connected_since: int | None
    open_executions: Annotated[int, Meta(description="Executions on this host that have not ended.")]
    identity: Annotated[
        IdentityView | None, Meta(description="null for a host that has never joined with a certificate.")
    ]
    first_seen_at: int | None
    last_seen_at: Annotated[
        int | None,
        Meta(description="When the server last received data from it; for an online host at most one heartbeat ago."),
    ]
    created_at: int
    updated_at: int


class HostPage(Struct, kw_only=True):
    """One page of hosts."""

    items: list[HostView]
    next: Cursor
    folded: Annotated[str | None, Meta(description="The names on this page in folded form; with `fold=true` only.")] = (
        None
    )


class SelectedHost(Struct, kw_only=True):
    """A host that a selector matches."""

    host_id: str
    hostname: str
    selector: Annotated[str, Meta(description="A selector that matches this host only.")]
    connected: bool


class WarningView(Struct, kw_only=True):
    """A possible mistake in a selector."""

    code: Annotated[str, Meta(description="unknown_hosts, ambiguous_hosts, nothing_matched or hosts_deleted.")]
    message: str
    count: Annotated[int, Meta(description="Number of names; with hosts_deleted: number of hosts.")]
    names: list[str]
    ids: Annotated[
        dict[str, list[str]], Meta(description="With ambiguous_hosts: the ids of the hosts of each name.")
    ] = {}


class SelectionView(Struct, kw_only=True):
    """The hosts that a selector matches now."""

    text: str
    count: int
    offline: Annotated[int, Meta(description="How many of them are offline.")]
    folded: Annotated[
        str, Meta(description="Their names in folded form, such as `web[001-480,512]`. This is also a selector.")
    ]
    more: Annotated[int, Meta(description="Number of names that `folded` omits.")]
    sample: list[SelectedHost]
    warnings: list[WarningView]
    refused: Annotated[bool, Meta(description="A task with these targets would be refused.")]


class OrphanView(Struct, kw_only=True):
    """An execution that a host knows and the database does not: the database has lost its task."""

    host_id: str
    command_id: str
    attempt: int
    received_at: Annotated[int, Meta(description="When the host first reported it.")]
    seq: Annotated[
        int | None,
        Meta(
            description=(
                "The dispatch number that this database has assigned on the host; null if the host sent only a report."
            )
        ),
    ]
    stage: Annotated[
        str | None,
        Meta(description="Its stage when the host reported it: accepted, running, ended or acknowledged."),
    ]
    report: Annotated[
        dict[str, Any] | None,
        Meta(description="Its result, as far as the agent still knows it; null until the agent has reported it."),
    ]
    stdout: Annotated[
        str | None, Meta(description="The beginning of the output, up to 16 KiB; null if no output is stored.")
    ]
    stderr: str | None


class OrphanPage(Struct, kw_only=True):
    """One page of orphans."""

    items: list[OrphanView]
    next: Cursor
