"""Hosts: make known, list, look at, label, delete."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Set
from dataclasses import replace

import trio

from server.core.effects import DeleteHost, SaveHost
from server.core.events import HostForgotten
from server.core.fold import RESERVED, fold
from server.core.ids import is_id, uuid7
from server.core.model import Host
from server.errors import ClarionError
from server.ports import Presence
from server.web.bodies import HostBody, HostPatch
from server.web.call import API, Call, Reply
from server.web.limits import Limits
from server.web.lookup import known_host
from server.web.present import host_view
from server.web.route import Param
from server.web.spec import is_hostname
from server.web.targets import evaluate, look_up, read
from server.web.tasks import PAGING
from server.web.views import HostPage, HostView

LOOKED_AT = 500
"""Hosts looked at before others have a turn."""
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,62}[A-Za-z0-9])?\Z")

FILTERS = (
    Param("connected", "boolean", "Only hosts whose agent is connected now, or only those whose is not."),
    Param("label", "string", "`key=value`, or `key` for any value. Repeated: all must hold.", many=True, example="env=prod"),
    Param("name", "string", "Only of this name; with a trailing * of names that begin so.", example="web-*"),
    Param("select", "string", "Only those that this selector means.", example="web* and role=db"),
    Param("fold", "boolean", "Give the names on this page folded, too."),
    *PAGING,
)


def view(call: Call, presence: Presence, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    return Reply(_item(call, presence), status, headers or {})


def check_labels(labels: Mapping[str, str | None], limits: Limits) -> None:
    for key, value in labels.items():
        field = f"labels.{key[:100]}"
        if not _LABEL.match(key):
            raise ClarionError("invalid_value", f"{key[:100]!r} cannot be a label's name", field=field, hint="1 to 64 letters, digits, . _ / -, beginning and ending with a letter or digit")
        if value is not None and (len(value.encode()) > limits.label_bytes or not value.isprintable()):
            raise ClarionError("invalid_value", f"{field} must be at most {limits.label_bytes} bytes of printable text", field=field, hint="shorten the value, and leave out control characters; this limit is fixed")


def check_number(labels: Mapping[str, str], limits: Limits) -> None:
    if len(labels) > limits.labels:
        raise ClarionError("invalid_value", f"a host has at most {limits.labels} labels, not {len(labels)}", field="labels", hint="remove some labels; this limit is fixed")


async def create_host(call: Call) -> Reply:
    """Make a host known before its agent connects.

    The id is made here; an agent whose state directory holds it in the file host_id becomes this host when it joins.
    """
    body = call.body
    assert isinstance(body, HostBody)
    if not is_hostname(body.hostname) or body.hostname in RESERVED or is_id(body.hostname):
        raise ClarionError("invalid_value", "hostname cannot be a host's name", field="hostname", hint="letters, digits, - . and _, at most 255; not an id, and not a word of selectors such as `all`")
    check_labels(body.labels, call.deps.limits)
    check_number(body.labels, call.deps.limits)
    call.desk.take_new_work()
    now = call.deps.clock.now().wall_ms
    host = Host(uuid7(now, call.deps.entropy(10)), body.hostname, labels=dict(body.labels), created_at=now, updated_at=now)
    await call.desk.safely(lambda: _save_new(call, host))
    return view(call, known_host(call.deps, host.host_id), 201, {"Location": f"{API}/hosts/{host.host_id}"})


async def _save_new(call: Call, host: Host) -> None:
    async with call.desk.hosts:
        if not call.deps.fleet.resolve([host.hostname]).unknown:
            raise ClarionError("host_exists", f"a host called {host.hostname!r} exists", field="hostname", hint="use another name, or update the one there is")
        await call.deps.commits.commit([SaveHost(host)])
        call.deps.fleet.put(host)


async def list_hosts(call: Call) -> Reply:
    """List hosts.

    By name, from memory: what `connected` says is exact.
    """
    query, limits = call.query, call.deps.limits
    connected, name = query.flag("connected"), query.text("name")
    labels = [word.partition("=") for word in query.repeated("label")]
    limit = query.integer("limit", min(limits.page_size, limits.page_size_max), 1, limits.page_size_max, "http.page_size_max")
    if name is not None and "*" in name[:-1]:
        raise ClarionError("invalid_value", "name may have one * only, at its end", field="name", hint="use select= for other patterns")
    meant = await _meant(call, query.text("select"))
    if len(labels) > limits.labels:
        raise ClarionError("invalid_value", f"label is given {len(labels)} times, and at most {limits.labels} labels are looked for at once", field="label", hint="use select= with an expression")
    order = call.deps.fleet.directory.order
    ahead = order[bisect_right(order, _cursor(query.text("after"))) :]
    page: list[Presence] = []
    more = False
    for index, (_, host_id) in enumerate(ahead):
        if index % LOOKED_AT == LOOKED_AT - 1:
            await trio.lowlevel.checkpoint()
        presence = call.deps.fleet.presence(host_id) if meant is None or host_id in meant else None
        if presence is not None and _wanted(presence, connected, name, labels):
            if more := len(page) == limit:
                break
            page.append(presence)
    folded = fold(presence.host.hostname for presence in page).text if query.flag("fold") else None
    return Reply(HostPage(items=[_item(call, presence) for presence in page], next="/".join(_key(page[-1])) if more else None, folded=folded))


async def _meant(call: Call, text: str | None) -> Set[str] | None:
    """The ids that `select` stands for, None for all."""
    if text is None:
        return None
    chosen = await read([text], call.deps, "select")
    await look_up(chosen, call.deps, call.desk.answers)
    return set((await evaluate(chosen, call.deps)).host_ids)


def _item(call: Call, presence: Presence) -> HostView:
    host_id = presence.host.host_id
    return host_view(presence, call.deps.door.open_on(host_id), call.deps.identities.get(host_id))


def _key(presence: Presence) -> tuple[str, str]:
    return presence.host.hostname, presence.host.host_id


def _cursor(after: str | None) -> tuple[str, str]:
    if after is None:
        return "", ""
    hostname, slash, host_id = after.rpartition("/")
    if not slash or not is_id(host_id):
        raise ClarionError("invalid_value", "after is not the `next` of a page of this list", field="after", hint="pass `next` unchanged")
    return hostname, host_id


def _wanted(presence: Presence, connected: bool | None, name: str | None, labels: list[tuple[str, str, str]]) -> bool:
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


async def get_host(call: Call, host: str) -> Reply:
    """Look at a host.

    By id or name.
    """
    return view(call, known_host(call.deps, host))


async def label_host(call: Call, host: str) -> Reply:
    """Change a host's labels.

    Labels named are set, or taken away with null; the others stay. The agent's own labels are not touched.
    """
    body = call.body
    assert isinstance(body, HostPatch)
    limits = call.deps.limits
    check_labels(body.labels, limits)
    host_id = known_host(call.deps, host).host.host_id
    call.desk.take_new_work()
    await call.desk.safely(lambda: _label(call, host_id, body.labels))
    return view(call, known_host(call.deps, host_id))


async def _label(call: Call, host_id: str, changes: Mapping[str, str | None]) -> None:
    """Facts that the agent reports meanwhile must not be lost, nor the labels by them: repeated until nothing came in between."""
    deps = call.deps
    async with call.desk.hosts:
        while True:
            old = known_host(deps, host_id).host
            labels = {key: value for key, value in (old.labels | dict(changes)).items() if value is not None}  # type: ignore[operator]
            check_number(labels, deps.limits)
            new = replace(old, labels=labels, updated_at=deps.clock.now().wall_ms)
            await deps.commits.commit([SaveHost(new)])
            if known_host(deps, host_id).host is old:
                deps.fleet.put(new)
                return


async def delete_host(call: Call, host: str) -> Reply:
    """Delete a host.

    Only while it is not connected and has nothing to do. Its results stay with their tasks. Its certificates are worthless from then on: its
    agent is refused until it joins again, as a new host.
    """
    host_id = known_host(call.deps, host).host.host_id
    await call.desk.safely(lambda: _delete(call, host_id))
    return Reply(None, 204)


async def _delete(call: Call, host_id: str) -> None:
    deps = call.deps
    async with call.desk.hosts:
        presence = known_host(deps, host_id)
        if presence.session is not None:
            raise ClarionError("host_connected")
        if deps.door.open_on(host_id):
            raise ClarionError("host_busy")
        # Gone from memory first: from here on no task can be made for it, and an agent that comes back finds no row to lose.
        identity = deps.identities.get(host_id)
        deps.fleet.remove(host_id)
        deps.identities.remove(host_id)
        deps.door.submit(HostForgotten(host_id))
        try:
            await deps.commits.commit([DeleteHost(host_id)])
        except BaseException:
            deps.fleet.put(presence.host)
            if identity is not None:
                deps.identities.put(identity)
            raise
