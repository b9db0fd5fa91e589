"""Creates, changes and deletes host sets: checks them, commits them, and then makes them known."""

from __future__ import annotations

from server.core.nouns.host_set import HostSet
from server.core.selectors.host_sets import HostSets, SetCycle
from server.core.selectors.parser import SET_NAME, SET_NAME_RULE
from server.errors import ClarionError
from server.web.readmodel.records import known
from server.web.request import ApiRequest
from server.web.service import records
from server.web.service.checks import check_visible, over_limit, refuse
from server.web.service.targets import load_results, parse_targets, resolve


async def create(
    call: ApiRequest, name: str, selector: str | None, hosts: list[str] | None, description: str | None
) -> HostSet:
    """Create a set; it is committed when this returns.

    Raises:
        ClarionError: set_exists, set_cycle, unknown_set, unknown_hosts, invalid_expression or invalid_value.
    """
    if not SET_NAME.fullmatch(name):
        raise refuse("name", f"{name[:80]!r} is not {SET_NAME_RULE}", "write a name such as web-eu")
    if selector is None and hosts is None:
        raise refuse("selector", "is missing", "give a selector, or hosts for a list")
    _check_description(call, description)
    text, ids = await _meaning(call, selector, hosts)
    sets, most = call.deps.records.of(HostSets), call.deps.limits.section.host_sets

    async def make() -> HostSet:
        if sets.get(name) is not None:
            raise ClarionError("set_exists", f"There is a host set named '{name}' already.", field="name")
        if len(sets) >= most:
            raise over_limit(
                "name", f"there are {len(sets)} host sets already", "delete sets that are not used", "limits.host_sets"
            )
        return _checked(sets, HostSet(name, text, ids, description or "", 1, call.by, call.deps.clock.now().wall_ms))

    return await records.save(call, make)


async def change(
    call: ApiRequest, name: str, selector: str | None, hosts: list[str] | None, description: str | None
) -> HostSet:
    """Change what is given of a set; it is committed when this returns. Tasks that used it keep their hosts.

    Raises:
        ClarionError: set_not_found, set_cycle, unknown_set, unknown_hosts, invalid_expression or invalid_value.
    """
    await known(call.deps, HostSet, name, "set_not_found")
    _check_description(call, description)
    text, ids = await _meaning(call, selector, hosts)
    same = selector is None and hosts is None

    async def make() -> HostSet:
        old = await known(call.deps, HostSet, name, "set_not_found")
        changed = HostSet(
            name,
            old.selector if same else text,
            old.hosts if same else ids,
            old.description if description is None else description,
            old.version + 1,
            call.by,
            call.deps.clock.now().wall_ms,
        )
        return _checked(call.deps.records.of(HostSets), changed)

    return await records.save(call, make)


async def delete(call: ApiRequest, name: str) -> None:
    """Delete a set that no other set uses.

    Raises:
        ClarionError: set_not_found, set_in_use.
    """

    async def check() -> None:
        await known(call.deps, HostSet, name, "set_not_found")
        if users := call.deps.records.of(HostSets).users(name):
            named = ", ".join(f"@{user}" for user in users[:5])
            message = f"The host set '{name}' is used by {named}{' and others' if len(users) > 5 else ''}."
            raise ClarionError("set_in_use", message, details={"used_by": users})

    await check()
    await records.delete(call, HostSet, name, check)


def _check_description(call: ApiRequest, description: str | None) -> None:
    if description is None:
        return
    check_visible("description", description, lines=True)
    most = call.deps.limits.description_chars
    if len(description) > most:
        raise over_limit(
            "description",
            f"has {len(description)} characters; at most {most} are accepted",
            "write a shorter one",
            None,
        )


async def _meaning(call: ApiRequest, selector: str | None, hosts: list[str] | None) -> tuple[str, tuple[str, ...]]:
    """The selector, or the host ids of the list."""
    deps, limits = call.deps, call.deps.limits
    if selector is not None and hosts is not None:
        raise refuse("selector", "and hosts are both given", "a set is either a selector or a list of hosts")
    if selector is not None:
        chosen = await parse_targets([selector], deps, "selector")
        return chosen.texts[0], ()
    if hosts is None:
        return "", ()
    chosen = await parse_targets(hosts, deps, "hosts")
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


def _checked(sets: HostSets, made: HostSet) -> HostSet:
    try:
        sets.check(made)
    except SetCycle as error:
        raise ClarionError("set_cycle", f"selector: {error}", field="selector") from None
    return made
