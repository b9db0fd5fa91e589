"""Hosts: make known, list, look at, label, delete."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Set
from dataclasses import replace

import structlog
import trio
from msgspec import UnsetType

from proto.ids import is_id, uuid7
from server.core.effects import DeleteHost, SaveHost
from server.core.events import HostDeleted
from server.core.inputs.hostnames import RULE, fault, given
from server.core.model import Host
from server.errors import ClarionError
from server.ports import HostPresence
from server.web.api.tasks.tasks import PAGING
from server.web.http.limits import Limits
from server.web.http.route import Param
from server.web.readmodel.lookup import known_host
from server.web.readmodel.serialize import host_view
from server.web.readmodel.unknown_names import label, listed
from server.web.request import API, ApiRequest, ApiResponse
from server.web.schemas.requests import HostBody, HostPatch, ReplaceBody
from server.web.schemas.responses import HostPage, HostView
from server.web.service.checks import check_visible
from server.web.service.targets import look_up, meant, read

log = structlog.get_logger("server.web.api.hosts.hosts")

LOOKED_AT = 500
"""Hosts looked at before others have a turn."""
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,62}[A-Za-z0-9])?\Z")

FILTERS = (
    Param("connected", "boolean", "Only hosts whose agent is connected now, or only those whose is not."),
    Param(
        "label",
        "string",
        "`key=value`, or `key` for any value. Repeated: all must hold.",
        many=True,
        example="env=prod",
    ),
    Param("name", "string", "Only of this name; with a trailing * of names that begin so.", example="web-*"),
    Param("select", "string", "Only those that this selector means.", example="web* and role=db"),
    Param("replaced", "boolean", "Those hosts, too, whose place another one has taken."),
    Param("fold", "boolean", "Give the names on this page folded, too."),
    *PAGING,
)


def view(
    call: ApiRequest, presence: HostPresence, status: int = 200, headers: dict[str, str] | None = None
) -> ApiResponse:
    return ApiResponse(_item(call, presence), status, headers or {})


def check_labels(labels: Mapping[str, str | None], limits: Limits) -> None:
    for key, value in labels.items():
        field = f"labels.{key[:100]}"
        if not _LABEL.match(key):
            raise ClarionError(
                "invalid_value",
                f"{key[:100]!r} cannot be a label's name",
                field=field,
                hint="1 to 64 letters, digits, . _ / -, beginning and ending with a letter or digit",
            )
        if value is not None and len(value.encode()) > limits.label_bytes:
            raise ClarionError(
                "invalid_value",
                f"{field} must be at most {limits.label_bytes} bytes of text",
                field=field,
                hint="shorten the value; this limit is fixed",
            )
        if value is not None:
            check_visible(field, value)


def check_hostname(name: str) -> None:
    """Raises ClarionError invalid_value."""
    if (wrong := fault(name)) is not None:
        raise ClarionError(
            "invalid_value",
            f"{label(name)} cannot be a host's name: it {wrong}",
            field="hostname",
            hint="choose another name" if RULE in wrong else f"use {RULE}",
        )


def _check_free(call: ApiRequest, name: str) -> None:
    """Raises ClarionError host_exists."""
    if ids := call.deps.fleet.directory.named(name):
        raise ClarionError(
            "host_exists", f"A host named {label(name)} exists: {listed(sorted(ids))}.", field="hostname"
        )


def check_number(labels: Mapping[str, str], limits: Limits) -> None:
    if len(labels) > limits.labels:
        raise ClarionError(
            "invalid_value",
            f"a host has at most {limits.labels} labels, not {len(labels)}",
            field="labels",
            hint="remove some labels; this limit is fixed",
        )


async def create_host(call: ApiRequest) -> ApiResponse:
    """Make a host known before its agent connects.

    The id is made here; an agent whose state directory holds it in the file host_id becomes this host when it joins.
    """
    body = call.body
    assert isinstance(body, HostBody)
    check_hostname(body.hostname)
    check_labels(body.labels, call.deps.limits)
    check_number(body.labels, call.deps.limits)
    await call.desk.room()
    now = call.deps.clock.now().wall_ms
    host = Host(
        uuid7(now, call.deps.entropy(10)), body.hostname, labels=dict(body.labels), created_at=now, updated_at=now
    )
    await call.desk.run_to_completion(lambda: _save_new(call, host))
    return view(call, known_host(call.deps, host.host_id), 201, {"Location": f"{API}/hosts/{host.host_id}"})


async def _save_new(call: ApiRequest, host: Host) -> None:
    async with call.desk.hosts:
        _check_free(call, host.hostname)
        await call.deps.commits.commit([SaveHost(host)])
        call.deps.fleet.put(host)


async def list_hosts(call: ApiRequest) -> ApiResponse:
    """List hosts.

    By name, from memory: what `connected` says is exact.
    """
    query, limits, directory = call.query, call.deps.limits, call.deps.fleet.directory
    connected, name = query.flag("connected"), query.text("name")
    labels = [word.partition("=") for word in query.repeated("label")]
    limit = query.integer(
        "limit", min(limits.page_size, limits.page_size_max), 1, limits.page_size_max, "http.page_size_max"
    )
    if name is not None and "*" in name[:-1]:
        raise ClarionError(
            "invalid_value", "name may have one * only, at its end", field="name", hint="use select= for other patterns"
        )
    meant = await _meant(call, query.text("select"))
    if len(labels) > limits.labels:
        raise ClarionError(
            "invalid_value",
            f"label is given {len(labels)} times, and at most {limits.labels} labels are looked for at once",
            field="label",
            hint="use select= with an expression",
        )
    left_out = directory.replaced if meant is None and not query.flag("replaced") else frozenset[str]()
    order = directory.order
    ahead = order[bisect_right(order, _cursor(query.text("after"))) :]
    page: list[HostPresence] = []
    more = False
    for index, (_, host_id) in enumerate(ahead):
        if index % LOOKED_AT == LOOKED_AT - 1:
            await trio.lowlevel.checkpoint()
        presence = (
            call.deps.fleet.presence(host_id)
            if host_id not in left_out and (meant is None or host_id in meant)
            else None
        )
        if presence is not None and _wanted(presence, connected, name, labels):
            if more := len(page) == limit:
                break
            page.append(presence)
    folded = directory.selector_text(presence.host.host_id for presence in page) if query.flag("fold") else None
    return ApiResponse(
        HostPage(
            items=[_item(call, presence) for presence in page],
            next="/".join(_key(page[-1])) if more else None,
            folded=folded,
        )
    )


async def _meant(call: ApiRequest, text: str | None) -> Set[str] | None:
    """The ids that `select` stands for, None for all."""
    if text is None:
        return None
    chosen = await read([text], call.deps, "select")
    await look_up(chosen, call.deps, call.desk.answers)
    return set((await meant(chosen, call.deps)).host_ids)


def _item(call: ApiRequest, presence: HostPresence) -> HostView:
    host_id = presence.host.host_id
    return host_view(
        presence,
        call.deps.fleet.directory.selector_word(host_id),
        call.deps.door.open_on(host_id),
        call.deps.identities.get(host_id),
    )


def _key(presence: HostPresence) -> tuple[str, str]:
    return presence.host.hostname, presence.host.host_id


def _cursor(after: str | None) -> tuple[str, str]:
    if after is None:
        return "", ""
    hostname, slash, host_id = after.rpartition("/")
    if not slash or not is_id(host_id):
        raise ClarionError(
            "invalid_value",
            "after is not the `next` of a page of this list",
            field="after",
            hint="pass `next` unchanged",
        )
    return hostname, host_id


def _wanted(
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


async def get_host(call: ApiRequest, host: str) -> ApiResponse:
    """Look at a host.

    By id or name.
    """
    return view(call, known_host(call.deps, host))


async def change_host(call: ApiRequest, host: str) -> ApiResponse:
    """Change a host's labels or name.

    Labels named are set, or taken away with null; the others stay. The agent's own labels are not touched. A name that
    is given here goes before
    the one that the agent says, and null takes it back. Tasks of before are found by both names.
    """
    body = call.body
    assert isinstance(body, HostPatch)
    check_labels(body.labels, call.deps.limits)
    if isinstance(body.hostname, str):
        check_hostname(body.hostname)
    host_id = known_host(call.deps, host).host.host_id
    await call.desk.room()

    def changed(old: Host) -> Host:
        new = replace(
            old,
            labels={key: value for key, value in (old.labels | dict(body.labels)).items() if value is not None},  # type: ignore[operator]
        )
        check_number(new.labels, call.deps.limits)
        if isinstance(body.hostname, UnsetType):
            return new
        if body.hostname is not None and body.hostname != old.hostname:
            _check_free(call, body.hostname)
        return given(new, body.hostname)

    await call.desk.run_to_completion(lambda: change(call, host_id, changed))
    return view(call, known_host(call.deps, host_id))


async def change(call: ApiRequest, host_id: str, changed: Callable[[Host], Host]) -> None:
    """Facts that the agent reports meanwhile must not be lost, nor the change by them: repeated until nothing came in
    between."""
    deps, written = call.deps, False
    async with call.desk.hosts:
        while True:
            old = known_host(deps, host_id).host
            try:
                new = replace(changed(old), updated_at=deps.clock.now().wall_ms)
            except ClarionError:
                if written:  # by what came in between it is not to be done any more
                    await deps.commits.commit([SaveHost(old)])
                raise
            await deps.commits.commit([SaveHost(new)])
            written = True
            if known_host(deps, host_id).host is old:
                deps.fleet.put(new)
                if new.hostname != old.hostname:
                    log.warning("host renamed", host_id=host_id, before=old.hostname, hostname=new.hostname, by=call.by)
                return


async def replace_host(call: ApiRequest, host: str) -> ApiResponse:
    """Let another host take a host's place.

    For a machine that was set up anew and has joined as a new host. The old one must be offline. From then on its name
    means the new one, which
    also gets those of its labels that it has not itself, and the name that an operator had given it; the old one is
    meant by its id only, no
    selector else leads to it, and its results stay. If its agent comes back, both are hosts again.
    """
    body = call.body
    assert isinstance(body, ReplaceBody)
    old, new = known_host(call.deps, host), known_host(call.deps, body.by)
    old_id, new_id = old.host.host_id, new.host.host_id
    if old_id == new_id:
        raise ClarionError(
            "invalid_value", "a host cannot take its own place", field="by", hint="name the new host by its id"
        )
    if new.host.replaced_by is not None:
        raise ClarionError(
            "invalid_value",
            f"the host {new_id} was replaced itself",
            field="by",
            hint=f"name the one that has its place, {new.host.replaced_by}",
        )
    await call.desk.room()

    def put_aside(before: Host) -> Host:
        if call.deps.fleet.online() & {old_id}:
            raise ClarionError(
                "host_connected",
                f"The host that is to be replaced, {label(old.host.hostname)}, is online.",
                hint="stop its agent first, or name the hosts the other way round",
            )
        return replace(before, replaced_by=new_id, replaced_at=call.deps.clock.now().wall_ms)

    def inherit(before: Host) -> Host:
        labels = {**old.host.labels, **before.labels}
        check_number(labels, call.deps.limits)
        after = replace(before, labels=labels)
        return given(after, old.host.given) if old.host.given is not None and before.given is None else after

    async def write() -> None:
        await change(call, old_id, put_aside)
        await change(call, new_id, inherit)
        log.warning("host replaced", host_id=old_id, replaced_by=new_id, hostname=old.host.hostname, by=call.by)

    await call.desk.run_to_completion(write)
    return view(call, known_host(call.deps, new_id))


async def delete_host(call: ApiRequest, host: str) -> ApiResponse:
    """Delete a host.

    Only while it is not connected and has nothing to do. Its results stay with their tasks. Its certificates are
    worthless from then on: its
    agent is refused until it joins again, as a new host.
    """
    host_id = known_host(call.deps, host).host.host_id
    await call.desk.run_to_completion(lambda: _delete(call, host_id))
    return ApiResponse(None, 204)


async def _delete(call: ApiRequest, host_id: str) -> None:
    deps = call.deps
    async with call.desk.hosts:
        presence = known_host(deps, host_id)
        if presence.session is not None:
            raise ClarionError("host_connected", f"The host {label(presence.host.hostname)} is online.")
        if deps.door.open_on(host_id):
            raise ClarionError("host_busy")
        # Gone from memory first: from here on no task can be made for it, and an agent that comes back finds no row to
        # lose.
        identity = deps.identities.get(host_id)
        deps.fleet.remove(host_id)
        deps.identities.remove(host_id)
        deps.door.submit(HostDeleted(host_id))
        try:
            await deps.commits.commit([DeleteHost(host_id)])
        except BaseException:
            deps.fleet.put(presence.host)
            if identity is not None:
                deps.identities.put(identity)
            raise
