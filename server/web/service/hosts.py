"""Creates, changes, replaces and deletes hosts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import structlog
from msgspec import UnsetType

from proto.ids import uuid7
from server.core.effects import DeleteHost, SaveHost
from server.core.events import HostDeleted
from server.core.inputs.hostnames import RULE, fault, given
from server.core.model import Host
from server.errors import ClarionError
from server.web.readmodel.lookup import known_host
from server.web.readmodel.unknown_names import label, listed
from server.web.request import ApiRequest
from server.web.schemas.requests import HostBody, HostPatch
from server.web.service.checks import check_label_count, check_label_texts, check_labels

log = structlog.get_logger(__name__)


async def create_host(call: ApiRequest, body: HostBody) -> str:
    """Create a host before its agent connects.

    Returns:
        The new host's id.

    Raises:
        ClarionError: invalid_value, host_exists, overloaded or store_unavailable.
    """
    _check_hostname(body.hostname)
    check_labels(body.labels, call.deps.limits)
    await call.context.wait_for_writer()
    now = call.deps.clock.now().wall_ms
    host = Host(
        uuid7(now, call.deps.entropy(10)), body.hostname, labels=dict(body.labels), created_at=now, updated_at=now
    )

    async def write() -> None:
        async with call.context.host_lock:
            _check_name_is_free(call, host.hostname)
            await call.deps.commits.commit([SaveHost(host)])
            call.deps.fleet.put(host)

    await call.context.run_to_completion(write)
    return host.host_id


async def change_host(call: ApiRequest, host: str, body: HostPatch) -> str:
    """Change a host's labels or name.

    Args:
        call: The request.
        host: Id or name of the host.
        body: The change.

    Returns:
        The host's id.

    Raises:
        ClarionError: invalid_value, host_not_found, host_ambiguous, host_exists, overloaded or store_unavailable.
    """
    check_label_texts(body.labels, call.deps.limits)
    if isinstance(body.hostname, str):
        _check_hostname(body.hostname)
    host_id = known_host(call.deps, host).host.host_id
    await call.context.wait_for_writer()

    def change(old: Host) -> Host:
        labels = {key: value for key, value in {**old.labels, **body.labels}.items() if value is not None}
        new = replace(old, labels=labels)
        check_label_count(new.labels, call.deps.limits)
        if isinstance(body.hostname, UnsetType):
            return new
        if body.hostname is not None and body.hostname != old.hostname:
            _check_name_is_free(call, body.hostname)
        return given(new, body.hostname)

    await call.context.run_to_completion(lambda: _change(call, host_id, change))
    return host_id


async def replace_host(call: ApiRequest, host: str, by: str) -> str:
    """Give the name, the labels and the place of an offline host to another host.

    Args:
        call: The request.
        host: Id or name of the host that is replaced.
        by: Id or name of the host that replaces it.

    Returns:
        The id of the new host.

    Raises:
        ClarionError: invalid_value, host_not_found, host_ambiguous, host_connected, overloaded or store_unavailable.
    """
    old, new = known_host(call.deps, host), known_host(call.deps, by)
    old_id, new_id = old.host.host_id, new.host.host_id
    if old_id == new_id:
        raise ClarionError(
            "invalid_value", "a host cannot replace itself", field="by", hint="name the new host by its id"
        )
    if new.host.replaced_by is not None:
        raise ClarionError(
            "invalid_value",
            f"the host {new_id} is itself replaced",
            field="by",
            hint=f"name the host that replaced it, {new.host.replaced_by}",
        )
    await call.context.wait_for_writer()

    def mark_replaced(before: Host) -> Host:
        if old_id in call.deps.fleet.online():
            raise ClarionError(
                "host_connected",
                f"The host to replace, {label(old.host.hostname)}, is online.",
                hint="stop its agent first, or name the hosts the other way round",
            )
        return replace(before, replaced_by=new_id, replaced_at=call.deps.clock.now().wall_ms)

    def inherit(before: Host) -> Host:
        labels = {**old.host.labels, **before.labels}
        check_label_count(labels, call.deps.limits)
        after = replace(before, labels=labels)
        return given(after, old.host.given) if old.host.given is not None and before.given is None else after

    async def write() -> None:
        await _change(call, old_id, mark_replaced)
        await _change(call, new_id, inherit)
        log.warning("host_replaced", host_id=old_id, replaced_by=new_id, hostname=old.host.hostname, by=call.by)

    await call.context.run_to_completion(write)
    return new_id


async def delete_host(call: ApiRequest, host: str) -> None:
    """Delete a host that is offline and has no open executions. Its results stay with their tasks.

    Args:
        call: The request.
        host: Id or name of the host.

    Raises:
        ClarionError: host_not_found, host_ambiguous, host_connected, host_busy or store_unavailable.
    """
    host_id = known_host(call.deps, host).host.host_id
    await call.context.run_to_completion(lambda: _delete(call, host_id))


async def _delete(call: ApiRequest, host_id: str) -> None:
    deps = call.deps
    async with call.context.host_lock:
        presence = known_host(deps, host_id)
        if presence.session is not None:
            raise ClarionError("host_connected", f"The host {label(presence.host.hostname)} is online.")
        if deps.engine.open_on(host_id):
            raise ClarionError("host_busy")
        # Memory first: no task can be created for the host any more, and an agent that reconnects is refused.
        identity = deps.identities.get(host_id)
        deps.fleet.remove(host_id)
        deps.identities.remove(host_id)
        deps.engine.submit(HostDeleted(host_id))
        try:
            await deps.commits.commit([DeleteHost(host_id)])
        except BaseException:
            deps.fleet.put(presence.host)
            if identity is not None:
                deps.identities.put(identity)
            raise


async def _change(call: ApiRequest, host_id: str, change: Callable[[Host], Host]) -> None:
    """Apply `change` to a host, and repeat it until no other change happened during the commit.

    The agent may report facts during the commit. Neither these facts nor this change may be lost.
    """
    deps, written = call.deps, False
    async with call.context.host_lock:
        while True:
            old = known_host(deps, host_id).host
            try:
                new = replace(change(old), updated_at=deps.clock.now().wall_ms)
            except ClarionError:
                if written:  # the host has changed so that the change is refused now: undo what is committed of it
                    await deps.commits.commit([SaveHost(old)])
                raise
            await deps.commits.commit([SaveHost(new)])
            written = True
            if known_host(deps, host_id).host is old:
                deps.fleet.put(new)
                if new.hostname != old.hostname:
                    log.warning("host_renamed", host_id=host_id, before=old.hostname, hostname=new.hostname, by=call.by)
                return


def _check_hostname(name: str) -> None:
    """Raise ClarionError invalid_value if a host cannot have this name."""
    if (wrong := fault(name)) is not None:
        raise ClarionError(
            "invalid_value",
            f"{label(name)} cannot be a host's name: it {wrong}",
            field="hostname",
            hint="choose another name" if RULE in wrong else f"use {RULE}",
        )


def _check_name_is_free(call: ApiRequest, name: str) -> None:
    """Raise ClarionError host_exists if a host has this name."""
    if ids := call.deps.fleet.directory.named(name):
        raise ClarionError(
            "host_exists", f"A host named {label(name)} exists: {listed(sorted(ids))}.", field="hostname"
        )
