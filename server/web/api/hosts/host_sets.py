"""Host sets: names for hosts that every selector may use as @NAME."""

from __future__ import annotations

from server.core.model import HostSet
from server.web.http.paging import page_limit
from server.web.http.route import API
from server.web.request import ApiRequest, ApiResponse
from server.web.schemas.hosts import HostSetPage, HostSetView
from server.web.schemas.requests import HostSetBody, NewHostSetBody
from server.web.service import host_sets


async def create_host_set(call: ApiRequest) -> ApiResponse:
    """Create a host set.

    A set is a selector, or a list of hosts. Every selector may then use it as @NAME.
    """
    body = call.body
    assert isinstance(body, NewHostSetBody)
    made = await host_sets.create(call, body.name, body)
    return ApiResponse(_view(call, made), 201, {"Location": f"{API}/sets/{made.name}"})


async def list_host_sets(call: ApiRequest) -> ApiResponse:
    """List host sets by name."""
    after = call.query.text("after") or ""
    limit = page_limit(call.query, call.deps.limits)
    found = [one for one in call.deps.fleet.directory.sets.all() if one.name > after]
    page = found[:limit]
    more = page[-1].name if len(found) > limit else None
    return ApiResponse(HostSetPage(items=[_view(call, one) for one in page], next=more))


async def show_host_set(call: ApiRequest, name: str) -> ApiResponse:
    """Show a host set."""
    return ApiResponse(_view(call, host_sets.known_set(call, name)))


async def change_host_set(call: ApiRequest, name: str) -> ApiResponse:
    """Change a host set.

    What the body leaves out stays. Tasks that were created with it keep their hosts.
    """
    body = call.body
    assert isinstance(body, HostSetBody)
    return ApiResponse(_view(call, await host_sets.change(call, name, body)))


async def delete_host_set(call: ApiRequest, name: str) -> ApiResponse:
    """Delete a host set.

    A set that another set uses cannot be deleted.
    """
    await host_sets.delete(call, name)
    return ApiResponse(None, 204)


def _view(call: ApiRequest, one: HostSet) -> HostSetView:
    return HostSetView(
        name=one.name,
        selector=one.selector or None,
        hosts=None if one.selector else list(one.hosts),
        description=one.description,
        version=one.version,
        changed_by=one.changed_by,
        changed_at=one.changed_at,
        used_by=call.deps.fleet.directory.sets.users(one.name),
    )
