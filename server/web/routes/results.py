"""Routes of the results of a task."""

from __future__ import annotations

from server.web.api.tasks import groups, search, states
from server.web.http.route import API, Route
from server.web.routes.common import T
from server.web.schemas.results import CellsView, DiffView, GroupPage, SearchPage

ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        f"{API}/tasks/<task_id>/groups",
        T,
        groups.list_groups,
        "answers",
        GroupPage,
        params=groups.FILTERS,
        errors=("task_not_found", "invalid_expression"),
    ),
    Route(
        "GET",
        f"{API}/tasks/<task_id>/groups/<number>/diff",
        T,
        groups.get_diff,
        "answers",
        DiffView,
        params=groups.DIFF,
        errors=("task_not_found", "group_not_found", "output_not_found"),
    ),
    Route(
        "GET",
        f"{API}/tasks/<task_id>/search",
        T,
        search.search_outputs,
        "answers",
        SearchPage,
        params=search.SEARCH,
        errors=("task_not_found", "missing_field"),
    ),
    Route(
        "GET",
        f"{API}/tasks/<task_id>/cells",
        T,
        states.list_cells,
        "answers",
        CellsView,
        errors=("task_not_found",),
    ),
    Route(
        "GET",
        f"{API}/tasks/<task_id>/states",
        T,
        states.get_states,
        "answers",
        states.OCTET_STREAM,
        params=states.SINCE,
        errors=("task_not_found",),
    ),
)
