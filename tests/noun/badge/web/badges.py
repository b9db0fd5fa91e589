"""Badges in the REST API."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from server.errors import ClarionError
from server.web.http.limits import Limits
from server.web.openapi.bounds import Schema
from server.web.readmodel.records import find, known
from server.web.request import ApiRequest
from server.web.resource import Operation, Resource
from server.web.service import records
from tests.noun.badge.core.badge import Badge

CODE = "^[a-z]{1,16}$"


class BadgeBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """A badge."""

    color: Annotated[str | None, Meta(description="Its color.")] = None


class NewBadgeBody(BadgeBody, kw_only=True, forbid_unknown_fields=True):
    """A new badge."""

    code: str


class BadgeView(Struct, kw_only=True):
    """A badge."""

    code: str
    color: str
    version: int


def show(call: ApiRequest, one: Badge) -> BadgeView:
    return BadgeView(code=one.code, color=one.color, version=one.version)


def fields(limits: Limits) -> dict[str, Schema]:
    return {"code": {"pattern": CODE}, "color": {"maxLength": limits.name_chars}}


async def create(call: ApiRequest, body: NewBadgeBody) -> Badge:
    async def make() -> Badge:
        if await find(call.deps, Badge, body.code) is not None:
            raise ClarionError("badge_exists", field="code")
        return Badge(body.code, body.color or "red", (), False, 1)

    return await records.save(call, make)


async def change(call: ApiRequest, code: str, body: BadgeBody) -> Badge:
    async def make() -> Badge:
        old = await known(call.deps, Badge, code, "badge_not_found")
        return Badge(code, body.color or old.color, old.tags, old.shiny, old.version + 1)

    return await records.save(call, make)


async def delete(call: ApiRequest, code: str) -> None:
    await records.delete(call, Badge, code, lambda: known(call.deps, Badge, code, "badge_not_found"))


BADGES = Resource(
    "badge",
    "badges",
    Badge,
    key="code",
    key_schema={"pattern": CODE, "description": "Code of the badge."},
    tag="hosts",
    view=BadgeView,
    show=show,
    new=NewBadgeBody,
    body=BadgeBody,
    fields=fields,
    missing="badge_not_found",
    create=Operation(create, "It is red unless the body names a color.", ("badge_exists",)),
    change=Operation(change),
    delete=Operation(delete),
)
