"""The declaration of a noun of the REST API, from which its five routes and their OpenAPI description are made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import msgspec

from server.web.http.auth import Access
from server.web.http.limits import Limits
from server.web.http.paging import page_limit
from server.web.http.route import API, Param, Route, Schema
from server.web.openapi.bounds import TEXT
from server.web.readmodel import records
from server.web.request import ApiRequest, ApiResponse
from server.web.schemas.fields import Cursor

T = TypeVar("T")
WRITE = ("overloaded", "store_unavailable", "shutting_down")
"""Error codes of requests that change something."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A write of a noun.

    Attributes:
        write: A function of `server/web/service`. It is called as (request, body) to create, (request, key, body) to
            change and (request, key) to delete.
        about: What the OpenAPI description says after its first sentence.
        errors: Its error codes besides those of every write.
    """

    write: Callable[..., Awaitable[Any]]
    about: str = ""
    errors: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Resource(Generic[T]):
    """A noun of the REST API. A module of `server/web/nouns` declares one; the route table finds it there.

    Attributes:
        noun: Its name in sentences, such as `alert rule`; the plural has an `s`.
        path: Its path below the API's, such as `alert-rules`.
        record: The class of its records, which a table of `server/store/nouns` declares.
        key: The field that is its key, a text.
        key_schema: OpenAPI keywords of the key: a pattern and a description.
        tag: Tag in the OpenAPI document.
        view: The Struct of a response.
        show: Makes a view of a record.
        new: The Struct of the body that creates one.
        body: The Struct of the body that changes one.
        fields: OpenAPI keywords of the fields of both bodies, which may depend on the limits of the server.
        missing: The error code for a key without a record.
        create: Creates a record and returns it.
        change: Changes a record and returns it.
        delete: Deletes a record.
        new_rule: OpenAPI keywords of the body that creates one as a whole; None: every combination of fields is valid.
        change_rule: The same for the body that changes one.
    """

    noun: str
    path: str
    record: type[T]
    key: str
    key_schema: Schema
    tag: str
    view: type[msgspec.Struct]
    show: Callable[[ApiRequest, T], msgspec.Struct]
    new: type[msgspec.Struct]
    body: type[msgspec.Struct]
    fields: Callable[[Limits], Mapping[str, Schema]]
    missing: str
    create: Operation
    change: Operation
    delete: Operation
    new_rule: Schema | None = None
    change_rule: Schema | None = None

    def routes(self) -> tuple[Route, ...]:
        """Return the rows of the route table."""
        all_of, one = f"{API}/{self.path}", f"{API}/{self.path}/<{self.key}>"
        page = self._page()
        more: dict[str, Any] = {"in_path": {self.key: self.key_schema}, "fields": self.fields}
        after = Param("after", "string", "The `next` of the previous page.", schema={"minLength": 1, "pattern": TEXT})
        limit = Param("limit", "integer", "Number of items on a page, at most http.page_size_max.", example=50)
        token, errors = Access.TOKEN, (self.missing, *WRITE)
        rules = {self.new: self.new_rule, self.body: self.change_rule}
        made: tuple[tuple[Any, ...], ...] = (
            ("POST", all_of, self._create(), self.view, 201, self.new, (), (*self.create.errors, *WRITE)),
            ("GET", all_of, self._list(page), page, 200, None, (limit, after), ()),
            ("GET", one, self._show(), self.view, 200, None, (), (self.missing,)),
            ("PATCH", one, self._change(), self.view, 200, self.body, (), (*self.change.errors, *errors)),
            ("DELETE", one, self._delete(), None, 204, None, (), (*self.delete.errors, *errors)),
        )
        return tuple(
            Route(
                *(method, path, token, handler, self.tag, answer, status, body),
                params=params,
                errors=codes,
                body_rule=None if body is None else rules[body],
                **more,
            )
            for method, path, handler, answer, status, body, params, codes in made
        )

    def _page(self) -> type[msgspec.Struct]:
        name = self.view.__name__.removesuffix("View") + "Page"
        fields = [("items", list[self.view]), ("next", Cursor)]  # type: ignore[name-defined]
        about = {"__doc__": f"{self.noun.capitalize()}s, by {self.key}."}
        return msgspec.defstruct(name, fields, namespace=about, kw_only=True, module=self.view.__module__)

    def _create(self) -> Callable[..., Awaitable[ApiResponse]]:
        async def create(call: ApiRequest) -> ApiResponse:
            made = await self.create.write(call, call.body)
            place = f"{API}/{self.path}/{quote(getattr(made, self.key), safe='')}"
            return ApiResponse(self.show(call, made), 201, {"Location": place})

        return _described(create, f"Create a {self.noun}.", self.create.about)

    def _list(self, page: type[Any]) -> Callable[..., Awaitable[ApiResponse]]:
        async def list_all(call: ApiRequest) -> ApiResponse:
            limit = page_limit(call.query, call.deps.limits)
            found, following = await records.page(call.deps, self.record, call.query.text("after") or "", limit)
            return ApiResponse(page(items=[self.show(call, one) for one in found], next=following))

        return _described(list_all, f"List {self.noun}s by {self.key}.")

    def _show(self) -> Callable[..., Awaitable[ApiResponse]]:
        async def show(call: ApiRequest, **path: str) -> ApiResponse:
            found = await records.known(call.deps, self.record, path[self.key], self.missing)
            return ApiResponse(self.show(call, found))

        return _described(show, f"Show a {self.noun}.")

    def _change(self) -> Callable[..., Awaitable[ApiResponse]]:
        async def change(call: ApiRequest, **path: str) -> ApiResponse:
            return ApiResponse(self.show(call, await self.change.write(call, path[self.key], call.body)))

        return _described(change, f"Change a {self.noun}.", self.change.about)

    def _delete(self) -> Callable[..., Awaitable[ApiResponse]]:
        async def delete(call: ApiRequest, **path: str) -> ApiResponse:
            await self.delete.write(call, path[self.key])
            return ApiResponse(None, 204)

        return _described(delete, f"Delete a {self.noun}.", self.delete.about)


def _described(
    handler: Callable[..., Awaitable[ApiResponse]], summary: str, about: str = ""
) -> Callable[..., Awaitable[ApiResponse]]:
    """Give a handler the docstring that becomes the description of its operation."""
    handler.__doc__ = f"{summary}\n\n{about}" if about else summary
    return handler
