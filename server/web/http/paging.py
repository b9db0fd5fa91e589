"""Query parameters of all lists: the size of a page and where it begins."""

from __future__ import annotations

from proto.ids import is_id
from server.errors import ClarionError
from server.web.http.limits import Limits
from server.web.http.query import MAX_MS, Query
from server.web.http.route import Param

PAGING = (
    Param("limit", "integer", "Number of items on a page, at most http.page_size_max.", example=50),
    Param("after", "string", "The `next` of the previous page."),
)
NUMBERED = (
    Param("limit", "integer", "Number of groups on a page, at most http.page_size_max.", example=20),
    Param("after", "integer", "The `next` of the previous page."),
)
"""The same for lists whose `next` is a number."""


def page_limit(query: Query, limits: Limits) -> int:
    """The value of `limit`. Raises ClarionError wrong_type, invalid_value."""
    most = limits.page_size_max
    return query.integer("limit", min(limits.page_size, most), 1, most, "http.page_size_max")


def after_id(query: Query) -> str | None:
    """The value of `after` in a list whose cursor is an id. Raises ClarionError invalid_value."""
    after = query.text("after")
    if after is not None and not is_id(after):
        raise bad_cursor()
    return after


def after_number(query: Query) -> int:
    """The value of `after` in a list whose cursor is a number, 0 by default. Raises ClarionError."""
    return query.integer("after", 0, 0, MAX_MS)


def bad_cursor() -> ClarionError:
    """The error for an `after` that no page of the list has returned."""
    return ClarionError(
        "invalid_value",
        "after is not the `next` of a page of this list",
        field="after",
        hint="pass `next` unchanged, with the same filters",
    )
