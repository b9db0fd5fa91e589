"""Creates, changes and deletes host sets: checks them, commits them, and then makes them known."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog

from server.core.effects import DeleteHostSet, SaveHostSet
from server.core.model import HostSet
from server.core.selectors.host_sets import HostSets, SetCycle
from server.core.selectors.parser import SET_NAME, SET_NAME_RULE
from server.errors import ClarionError
from server.web.request import ApiRequest
from server.web.schemas.requests import HostSetBody
from server.web.service.checks import check_visible, over_limit, refuse
from server.web.service.targets import load_results, parse_targets, resolve

log = structlog.get_logger(__name__)


def known_set(call: ApiRequest, name: str) -> HostSet:
    """The set of this name.

    Raises:
        ClarionError: set_not_found.
    """
    sets = call.deps.fleet.directory.sets
    found = sets.get(name)
    if found is None:
        near = sets.near(name)
        hint = f"did you mean {' or '.join(near)}?" if near else None
        raise ClarionError("set_not_found", hint=hint)
    return found


async def create(call: ApiRequest, name: str, body: HostSetBody) -> HostSet:
    """Create a set; it is committed when this returns.

    Raises:
        ClarionError: set_exists, set_cycle, unknown_set, unknown_hosts, invalid_expression or invalid_value.
    """
    if not SET_NAME.fullmatch(name):
        raise refuse("name", f"{name[:80]!r} is not {SET_NAME_RULE}", "write a name such as web-eu")
    sets = call.deps.fleet.directory.sets
    if body.selector is None and body.hosts is None:
        raise refuse("selector", "is missing", "give a selector, or hosts for a list")
    selector, hosts = await _checked(call, body)

    def make() -> HostSet:
        if sets.get(name) is not None:
            raise ClarionError("set_exists", f"There is a host set named '{name}' already.", field="name")
        if len(sets) >= call.deps.limits.host_sets:
            raise over_limit(
                "name", f"there are {len(sets)} host sets already", "delete sets that are not used", "limits.host_sets"
            )
        return HostSet(name, selector, hosts, body.description or "", 1, call.by, call.deps.clock.now().wall_ms)

    return await _write(call, sets, make)


async def change(call: ApiRequest, name: str, body: HostSetBody) -> HostSet:
    """Change what the body gives of a set; it is committed when this returns. Tasks that used it keep their hosts.

    Raises:
        ClarionError: set_not_found, set_cycle, unknown_set, unknown_hosts, invalid_expression or invalid_value.
    """
    sets = call.deps.fleet.directory.sets
    known_set(call, name)
    selector, hosts = await _checked(call, body)
    same = body.selector is None and body.hosts is None

    def make() -> HostSet:
        old = known_set(call, name)
        return HostSet(
            name,
            old.selector if same else selector,
            old.hosts if same else hosts,
            old.description if body.description is None else body.description,
            old.version + 1,
            call.by,
            call.deps.clock.now().wall_ms,
        )

    return await _write(call, sets, make)


async def delete(call: ApiRequest, name: str) -> None:
    """Delete a set that no other set uses.

    Raises:
        ClarionError: set_not_found, set_in_use.
    """
    sets = call.deps.fleet.directory.sets
    known_set(call, name)
    await call.context.wait_for_writer()

    async def write() -> None:
        async with call.context.host_lock:
            known_set(call, name)
            if users := sets.users(name):
                named = ", ".join(f"@{user}" for user in users[:5])
                message = f"The host set '{name}' is used by {named}{' and others' if len(users) > 5 else ''}."
                raise ClarionError("set_in_use", message, details={"used_by": users})
            await call.deps.commits.commit([DeleteHostSet(name)])
            sets.remove(name)
            log.info("host_set_deleted", name=name, by=call.by)

    await call.context.run_to_completion(write)


async def _checked(call: ApiRequest, body: HostSetBody) -> tuple[str, tuple[str, ...]]:
    """The selector, or the host ids of the list."""
    deps, limits = call.deps, call.deps.limits
    if body.selector is not None and body.hosts is not None:
        raise refuse("selector", "and hosts are both given", "a set is either a selector or a list of hosts")
    if body.description is not None:
        check_visible("description", body.description, lines=True)
    if body.description is not None and len(body.description) > limits.description_chars:
        raise over_limit(
            "description",
            f"has {len(body.description)} characters; at most {limits.description_chars} are accepted",
            "write a shorter one",
            None,
        )
    if body.selector is not None:
        chosen = await parse_targets([body.selector], deps, "selector")
        return chosen.texts[0], ()
    if body.hosts is None:
        return "", ()
    chosen = await parse_targets(body.hosts, deps, "hosts")
    await load_results(chosen, deps, call.context.result_groups)
    found = await resolve(chosen, deps)
    if len(found.host_ids) > limits.hosts_per_task:
        raise over_limit(
            "hosts",
            f"means {len(found.host_ids)} hosts; at most {limits.hosts_per_task} are accepted",
            "name fewer hosts, or use a selector",
            "limits.hosts_per_task",
        )
    return "", tuple(found.host_ids)


async def _write(call: ApiRequest, sets: HostSets, make: Callable[[], HostSet]) -> HostSet:
    await call.context.wait_for_writer()

    async def write() -> HostSet:
        async with call.context.host_lock:
            new = make()
            try:
                sets.check(new)
            except SetCycle as error:
                raise ClarionError("set_cycle", f"selector: {error}", field="selector") from None
            await call.deps.commits.commit([SaveHostSet(new)])
            sets.put(new)
            log.info("host_set_saved", name=new.name, version=new.version, by=call.by)
            return new

    saved: Callable[[], Awaitable[HostSet]] = write
    return await call.context.run_to_completion(saved)
