"""Endpoints of hosts: create, list, show, change, replace, delete."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Set

import trio

from proto.ids import is_id
from server.errors import ClarionError
from server.ports import HostPresence
from server.web.http.paging import PAGING, bad_cursor, page_limit
from server.web.http.route import API, Param
from server.web.readmodel.lookup import known_host
from server.web.readmodel.serialize import host_view
from server.web.request import ApiRequest, ApiResponse
from server.web.schemas.hosts import HostPage, HostView
from server.web.schemas.requests import HostBody, HostPatch, ReplaceBody
from server.web.service import hosts
from server.web.service.targets import load_results, parse_targets, resolve

SLICE = 500
"""Number of hosts examined before the event loop runs other tasks."""

FILTERS = (
    Param("connected", "boolean", "true: only hosts that are online; false: only hosts that are offline."),
    Param(
        "label",
        "string",
        "`key=value`, or `key` for any value. If it is repeated, a host must match all of them.",
        many=True,
        example="env=prod",
    ),
    Param(
        "name",
        "string",
        "Only the host with this name; with a trailing *, hosts whose name begins so.",
        example="web-*",
    ),
    Param("select", "string", "Only hosts that this selector matches.", example="web* and role=db"),
    Param("replaced", "boolean", "Include hosts that another host has replaced."),
    Param("fold", "boolean", "Also return the names on this page in folded form."),
    *PAGING,
)


def host_response(
    call: ApiRequest, host_id: str, status: int = 200, headers: dict[str, str] | None = None
) -> ApiResponse:
    """The response that shows one host."""
    return ApiResponse(_view(call, known_host(call.deps, host_id)), status, headers or {})


async def create_host(call: ApiRequest) -> ApiResponse:
    """Create a host before its agent connects.

    The server generates the host id. An agent that finds this id in the file host_id of its state directory becomes
    this host when it joins.
    """
    assert isinstance(call.body, HostBody)
    host_id = await hosts.create_host(call, call.body)
    return host_response(call, host_id, 201, {"Location": f"{API}/hosts/{host_id}"})


async def get_host(call: ApiRequest, host: str) -> ApiResponse:
    """Show a host."""
    return host_response(call, host)


async def change_host(call: ApiRequest, host: str) -> ApiResponse:
    """Change a host's labels or name.

    The labels in the request are set, or removed if their value is null; other labels stay. Labels that the agent sets
    are not changed. A name set here replaces the name that the agent reports; null restores the agent's name. Earlier
    tasks are found by both names.
    """
    assert isinstance(call.body, HostPatch)
    return host_response(call, await hosts.change_host(call, host, call.body))


async def replace_host(call: ApiRequest, host: str) -> ApiResponse:
    """Replace a host with another host.

    Use this after a machine was reinstalled and has joined as a new host. The old host must be offline. Its name then
    refers to the new host. The new host also receives labels that it does not have itself, and a name that an operator
    gave the old host. The old host keeps its results and can be selected by its id only. If its agent connects again,
    both are hosts again.
    """
    assert isinstance(call.body, ReplaceBody)
    return host_response(call, await hosts.replace_host(call, host, call.body.by))


async def delete_host(call: ApiRequest, host: str) -> ApiResponse:
    """Delete a host.

    The host must be offline and must have no open executions. Its results stay with their tasks. Its certificates
    become invalid: the server refuses its agent until the agent joins again as a new host.
    """
    await hosts.delete_host(call, host)
    return ApiResponse(None, 204)


async def list_hosts(call: ApiRequest) -> ApiResponse:
    """List hosts.

    Sorted by name. The list comes from memory, so `connected` is the current state.
    """
    query, limits, directory = call.query, call.deps.limits, call.deps.fleet.directory
    connected, name = query.flag("connected"), query.text("name")
    labels = [word.partition("=") for word in query.repeated("label")]
    limit = page_limit(query, limits)
    if name is not None and "*" in name[:-1]:
        raise ClarionError(
            "invalid_value",
            "name may contain one * only, at its end",
            field="name",
            hint="use select= for other patterns",
        )
    selected = await _selected(call, query.text("select"))
    if len(labels) > limits.labels:
        raise ClarionError(
            "invalid_value",
            f"label is given {len(labels)} times; at most {limits.labels} labels are accepted",
            field="label",
            hint="use select= with an expression",
        )
    left_out = directory.replaced if selected is None and not query.flag("replaced") else frozenset[str]()
    order = directory.order
    ahead = order[bisect_right(order, _cursor(query.text("after"))) :]
    page: list[HostPresence] = []
    more = False
    for index, (_, host_id) in enumerate(ahead):
        if index % SLICE == SLICE - 1:
            await trio.lowlevel.checkpoint()
        presence = (
            call.deps.fleet.presence(host_id)
            if host_id not in left_out and (selected is None or host_id in selected)
            else None
        )
        if presence is not None and _matches(presence, connected, name, labels):
            if more := len(page) == limit:
                break
            page.append(presence)
    folded = directory.selector_text(presence.host.host_id for presence in page) if query.flag("fold") else None
    return ApiResponse(
        HostPage(
            items=[_view(call, presence) for presence in page],
            next=f"{page[-1].host.hostname}/{page[-1].host.host_id}" if more else None,
            folded=folded,
        )
    )


async def _selected(call: ApiRequest, text: str | None) -> Set[str] | None:
    """The ids of the hosts that `select` matches; None for all hosts."""
    if text is None:
        return None
    parsed = await parse_targets([text], call.deps, "select")
    await load_results(parsed, call.deps, call.context.result_groups)
    return set((await resolve(parsed, call.deps)).host_ids)


def _view(call: ApiRequest, presence: HostPresence) -> HostView:
    host_id = presence.host.host_id
    return host_view(
        presence,
        call.deps.fleet.directory.selector_word(host_id),
        call.deps.engine.open_on(host_id),
        call.deps.identities.get(host_id),
    )


def _cursor(after: str | None) -> tuple[str, str]:
    """The host name and host id after which a page begins. Raises ClarionError invalid_value."""
    if after is None:
        return "", ""
    hostname, slash, host_id = after.rpartition("/")
    if not slash or not is_id(host_id):
        raise bad_cursor()
    return hostname, host_id


def _matches(
    presence: HostPresence, connected: bool | None, name: str | None, labels: list[tuple[str, str, str]]
) -> bool:
    host = presence.host
    if connected is not None and (presence.session is not None) != connected:
        return False
    if name is not None and not (host.hostname.startswith(name[:-1]) if name.endswith("*") else host.hostname == name):
        return False
    for key, equals, value in labels:
        have = host.labels.get(key, host.agent_labels.get(key))
        if have is None or (equals and have != value):
            return False
    return True
