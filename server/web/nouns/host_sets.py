"""Host sets in the REST API: names for hosts that every selector may use as @NAME."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from server.core.nouns.host_set import HostSet
from server.core.selectors.host_sets import HostSets
from server.core.selectors.parser import SET_NAME
from server.web.http.limits import Limits
from server.web.openapi.bounds import PROSE, SELECTOR, Schema
from server.web.request import ApiRequest
from server.web.resource import Operation, Resource
from server.web.service import host_sets


class HostSetBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """A host set: either a selector or a list of hosts. What a change leaves out stays."""

    selector: Annotated[
        str | None, Meta(description="The selector; it may name other sets.", examples=["web* and env=prod"])
    ] = None
    hosts: Annotated[
        list[str] | None, Meta(description="Names or ids of hosts. The list keeps their ids.", examples=[["web01"]])
    ] = None
    description: Annotated[str | None, Meta(description="For people; at most 4,000 characters.")] = None


class NewHostSetBody(HostSetBody, kw_only=True, forbid_unknown_fields=True):
    """A new host set."""

    name: Annotated[
        str,
        Meta(
            description="A lower-case letter, then at most 63 lower-case letters, digits and hyphens.", examples=["web"]
        ),
    ]


class HostSetView(Struct, kw_only=True):
    """A host set."""

    name: Annotated[str, Meta(description="Selectors write it as @NAME.")]
    selector: Annotated[str | None, Meta(description="Its selector; null for a list.")]
    hosts: Annotated[list[str] | None, Meta(description="The host ids of a list; null for a selector.")]
    description: str
    version: Annotated[int, Meta(description="1 for a new set; each change raises it.")]
    changed_by: str
    changed_at: int
    used_by: Annotated[list[str], Meta(description="Sets whose selector names this one.")]


def show(call: ApiRequest, one: HostSet) -> HostSetView:
    """The view of a host set."""
    return HostSetView(
        name=one.name,
        selector=one.selector or None,
        hosts=None if one.selector else list(one.hosts),
        description=one.description,
        version=one.version,
        changed_by=one.changed_by,
        changed_at=one.changed_at,
        used_by=call.deps.records.of(HostSets).users(one.name),
    )


async def create(call: ApiRequest, body: NewHostSetBody) -> HostSet:
    return await host_sets.create(call, body.name, body.selector, body.hosts, body.description)


async def change(call: ApiRequest, name: str, body: HostSetBody) -> HostSet:
    return await host_sets.change(call, name, body.selector, body.hosts, body.description)


def fields(limits: Limits) -> dict[str, Schema]:
    """OpenAPI keywords of the fields of both bodies."""
    selector = SELECTOR | {"minLength": 1, "maxLength": limits.expressions.chars}
    return {
        "name": {"pattern": NAME},
        "selector": selector,
        "hosts": {"minItems": 1, "items": selector},
        "description": {"maxLength": limits.description_chars, "pattern": PROSE},
    }


NAME = f"^{SET_NAME.pattern}$"
_SELECTOR: Schema = {
    "required": ["selector"],
    "properties": {"selector": {"type": "string"}, "hosts": {"type": "null"}},
}
_LIST: Schema = {"required": ["hosts"], "properties": {"hosts": {"type": "array"}, "selector": {"type": "null"}}}
_BOTH: Schema = {
    "required": ["selector", "hosts"],
    "properties": {"selector": {"type": "string"}, "hosts": {"type": "array"}},
}
INVALID = ("invalid_value", "invalid_expression", "unknown_set", "unknown_hosts", "no_hosts", "set_cycle")
SETS = Resource(
    "host set",
    "sets",
    HostSet,
    key="name",
    key_schema={"pattern": NAME, "description": "Name of the host set."},
    tag="hosts",
    view=HostSetView,
    show=show,
    new=NewHostSetBody,
    body=HostSetBody,
    fields=fields,
    missing="set_not_found",
    create=Operation(
        create,
        "A set is a selector, or a list of hosts. Every selector may then use it as @NAME.",
        (*INVALID, "set_exists"),
    ),
    change=Operation(
        change, "What the body leaves out stays. Tasks that were created with it keep their hosts.", INVALID
    ),
    new_rule={"allOf": [{"oneOf": [_SELECTOR, _LIST]}]},
    change_rule={"not": _BOTH},
    delete=Operation(host_sets.delete, "A set that another set uses cannot be deleted.", ("set_in_use",)),
)
