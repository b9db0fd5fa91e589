"""The one table of everything that can be reached over HTTP. What is not in it does not exist; what is in it names who may call it."""

from __future__ import annotations

from server.web import (
    cancel,
    events,
    executions,
    groups,
    history,
    hosts,
    identity,
    joining,
    live_output,
    login,
    ops,
    orphans,
    pages,
    rerun,
    search,
    select,
    sse,
    states,
    tasks,
    views,
    views_answers,
    words,
)
from server.web.auth import Access
from server.web.bodies import CancelBody, HostBody, HostPatch, JoinTokenBody, LoginBody, ReplaceBody, RerunBody, SelectBody, TaskBody
from server.web.create import HEADER
from server.web.route import Param, Route
from server.web.waiting import WAIT

T, READ, OPEN, SHELL = Access.TOKEN, Access.READ, Access.OPEN, Access.SHELL
KEY = ((HEADER, "1 to 128 printable ASCII characters of your choice. The same key and body give the same task, however often it is sent; another body is refused."),)
AGAIN = {200: "The task that an earlier request with this Idempotency-Key created."}
CREATE = ("unknown_hosts", "invalid_expression", "no_hosts", "idempotency_mismatch", "overloaded", "store_unavailable", "shutting_down")
WRITE = ("overloaded", "store_unavailable", "shutting_down")
RUN_FILTERS = tuple(param for param in tasks.FILTERS if param.name != "status")
PAGE_TASKS = tasks.FILTERS
PAGE_TASK = (Param("host", "string", "Id of the host that is shown."),)
PAGE_HOSTS = tuple(param for param in hosts.FILTERS if param.name in ("select", "connected"))
PAGE_NEW = (Param("targets", "string", "What stands in the field for hosts."),)
PAGE_LOGIN = (Param("next", "string", "Path of the page to go on to."),)
API = "/api/v1"

ROUTES: tuple[Route, ...] = (
    # tasks
    Route("POST", f"{API}/tasks", T, tasks.create_task, "tasks", views.TaskView, 201, TaskBody, headers=KEY, also=AGAIN, errors=CREATE),
    Route("POST", f"{API}/run", T, tasks.run_task, "tasks", views.TaskView, 201, TaskBody, headers=KEY, also=AGAIN, errors=CREATE),
    Route("GET", f"{API}/tasks", T, tasks.list_tasks, "tasks", views.TaskPage, params=(*tasks.FILTERS, *tasks.PAGING), errors=("host_not_found", "host_ambiguous")),
    Route("GET", f"{API}/tasks/pending", T, tasks.list_pending, "tasks", views.TaskPage, params=(*RUN_FILTERS, *tasks.PAGING), errors=("host_not_found", "host_ambiguous")),
    Route("GET", f"{API}/tasks/running", T, tasks.list_running, "tasks", views.TaskPage, params=(*RUN_FILTERS, *tasks.PAGING), errors=("host_not_found", "host_ambiguous")),
    Route("GET", f"{API}/tasks/<task_id>", T, tasks.get_task, "tasks", views.TaskView, params=WAIT, errors=("task_not_found",)),
    Route("DELETE", f"{API}/tasks/<task_id>", T, tasks.delete_task, "tasks", None, 204, errors=("task_not_found", "task_running", *WRITE)),
    Route("POST", f"{API}/tasks/<task_id>/start", T, tasks.start_task, "tasks", views.TaskView, errors=("task_not_found", "task_not_pending", *WRITE)),
    Route(
        *("POST", f"{API}/tasks/<task_id>/cancel", T, cancel.cancel_task, "tasks", views.TaskView, 202, CancelBody),
        optional=True,
        errors=("task_not_found", "execution_not_found", "host_ambiguous", "task_finished", *WRITE),
    ),
    Route(
        *("POST", f"{API}/tasks/<task_id>/rerun", T, rerun.rerun_task, "tasks", views.TaskView, 201, RerunBody),
        optional=True,
        headers=KEY,
        also=AGAIN,
        errors=("task_not_found", "task_running", "execution_not_found", *CREATE),
    ),
    Route("GET", f"{API}/tasks/<task_id>/progress", T, tasks.get_progress, "tasks", views.ProgressView, params=WAIT, errors=("task_not_found",)),
    # executions
    Route("GET", f"{API}/tasks/<task_id>/hosts", T, executions.list_executions, "executions", views.ExecutionPage, params=executions.FILTERS, errors=("task_not_found",)),
    Route("GET", f"{API}/tasks/<task_id>/hosts/<host>", T, executions.get_execution, "executions", views.ExecutionView, errors=("task_not_found", "execution_not_found", "host_ambiguous")),
    Route(
        *("GET", f"{API}/tasks/<task_id>/hosts/<host>/output/live", T, live_output.get_live_output, "executions", sse.KIND),
        params=live_output.PARAMS,
        headers=live_output.LAST,
        errors=("task_not_found", "execution_not_found", "host_ambiguous", "too_many_viewers", "too_many_watched"),
    ),
    Route(
        "GET",
        f"{API}/tasks/<task_id>/hosts/<host>/output",
        T,
        executions.get_output,
        "executions",
        views.OutputView,
        params=executions.OUTPUT,
        headers=(("Range", "With `Accept: application/octet-stream`: one range of bytes within the part, e.g. `bytes=0-1023`. What is not written so is ignored (RFC 9110 section 14.2)."),),
        errors=("task_not_found", "execution_not_found", "host_ambiguous", "output_not_found", "range_not_satisfiable"),
        raw=True,
    ),
    # answers
    Route("GET", f"{API}/tasks/<task_id>/groups", T, groups.list_groups, "answers", views_answers.GroupPage, params=groups.FILTERS, errors=("task_not_found", "invalid_expression")),
    Route("GET", f"{API}/tasks/<task_id>/groups/<number>/diff", T, groups.get_diff, "answers", views_answers.DiffView, params=groups.DIFF, errors=("task_not_found", "group_not_found", "output_not_found")),
    Route("GET", f"{API}/tasks/<task_id>/search", T, search.search_outputs, "answers", views_answers.SearchPage, params=search.SEARCH, errors=("task_not_found", "missing_field")),
    Route("GET", f"{API}/tasks/<task_id>/cells", T, states.list_cells, "answers", views_answers.CellsView, errors=("task_not_found",)),
    Route("GET", f"{API}/tasks/<task_id>/states", T, states.get_states, "answers", states.OCTETS, params=states.SINCE, errors=("task_not_found",)),
    # hosts
    Route("POST", f"{API}/hosts", T, hosts.create_host, "hosts", views.HostView, 201, HostBody, errors=("host_exists", *WRITE)),
    Route("POST", f"{API}/hosts/select", T, select.select_hosts, "hosts", views_answers.SelectionView, body=SelectBody, errors=("no_hosts", "invalid_expression")),
    Route("GET", f"{API}/hosts", T, hosts.list_hosts, "hosts", views.HostPage, params=hosts.FILTERS, errors=("invalid_expression",)),
    Route("GET", f"{API}/hosts/<host>", T, hosts.get_host, "hosts", views.HostView, errors=("host_not_found", "host_ambiguous")),
    Route("GET", f"{API}/hosts/<host>/tasks", T, history.list_history, "hosts", views_answers.PastPage, params=history.PARAMS, errors=("host_not_found", "host_ambiguous")),
    Route("PATCH", f"{API}/hosts/<host>", T, hosts.change_host, "hosts", views.HostView, body=HostPatch, errors=("host_not_found", "host_ambiguous", "host_exists", *WRITE)),
    Route("DELETE", f"{API}/hosts/<host>", T, hosts.delete_host, "hosts", None, 204, errors=("host_not_found", "host_ambiguous", "host_connected", "host_busy", *WRITE)),
    Route("POST", f"{API}/hosts/<host>/replace", T, hosts.replace_host, "hosts", views.HostView, body=ReplaceBody, errors=("host_not_found", "host_ambiguous", "host_connected", *WRITE)),
    Route("POST", f"{API}/hosts/<host>/revoke", T, identity.revoke_host, "hosts", views.HostView, errors=("host_not_found", "host_ambiguous", "host_not_enrolled", *WRITE)),
    Route("POST", f"{API}/hosts/<host>/release", T, identity.release_host, "hosts", views.HostView, errors=("host_not_found", "host_ambiguous", "host_not_enrolled", *WRITE)),
    # what the database has lost
    Route("GET", f"{API}/orphans", T, orphans.list_orphans, "hosts", orphans.OrphanPage, params=(Param("host", "string", "Id of a host: those of this host only."), *tasks.PAGING)),
    Route("DELETE", f"{API}/orphans/<host_id>", T, orphans.delete_orphans, "hosts", None, 204, errors=("orphans_not_found", *WRITE)),
    # joining
    Route("POST", f"{API}/join-tokens", T, joining.create_join_token, "joining", views.JoinTokenCreated, 201, JoinTokenBody, errors=WRITE),
    Route("GET", f"{API}/join-tokens", T, joining.list_join_tokens, "joining", views.JoinTokenPage, params=tasks.PAGING),
    Route("DELETE", f"{API}/join-tokens/<token_id>", T, joining.delete_join_token, "joining", None, 204, errors=("join_token_not_found", *WRITE)),
    Route("GET", f"{API}/join-requests", T, joining.list_join_requests, "joining", views.JoinRequestPage, params=tasks.PAGING),
    Route("POST", f"{API}/join-requests/<request_id>/approve", T, joining.approve_join_request, "joining", views.JoinRequestView, errors=("join_request_not_found", *WRITE)),
    Route("POST", f"{API}/join-requests/<request_id>/deny", T, joining.deny_join_request, "joining", views.JoinRequestView, errors=("join_request_not_found", *WRITE)),
    # watching
    Route("GET", f"{API}/events", T, events.get_events, "server", sse.KIND, params=events.PARAMS, headers=events.HEADERS, errors=("task_not_found", "missing_field", "too_many_viewers")),
    # who calls
    Route("POST", f"{API}/session", Access.LOGIN, login.log_in, "session", views.SessionView, 201, LoginBody, errors=("unauthenticated", "token_read_only", "too_many_logins", "cross_site")),
    Route("GET", f"{API}/session", T, login.get_session, "session", views.SessionView),
    Route("DELETE", f"{API}/session", T, login.log_out, "session", None, 204),
    # the server itself
    Route("GET", f"{API}/words", T, words.get_words, "server", views_answers.WordsView, params=words.PARAMS),
    Route("GET", f"{API}/statistics", T, ops.statistics, "server", views.StatisticsView),
    Route("GET", "/health/live", OPEN, ops.live, "server", views.LiveView),
    Route("GET", "/health/ready", OPEN, ops.ready, "server", views.ReadyView, errors=("shutting_down", "store_unavailable")),
    Route("GET", "/health/deep", READ, ops.deep, "server", views.DeepView, also={503: "A part is red; `checks` says which."}),
    Route("GET", "/metrics", READ, ops.prometheus, "server", "text/plain"),
    Route("GET", "/openapi.json", READ, ops.openapi, "server", "application/json"),
    # the page
    Route("GET", "/", SHELL, pages.index, "page", "text/html"),
    Route("GET", "/login", SHELL, pages.login, "page", "text/html", params=PAGE_LOGIN),
    Route("GET", "/tasks", SHELL, pages.tasks, "page", "text/html", params=PAGE_TASKS),
    Route("GET", "/tasks/<task_id>", SHELL, pages.task, "page", "text/html", params=PAGE_TASK),
    Route("GET", "/hosts", SHELL, pages.hosts, "page", "text/html", params=PAGE_HOSTS),
    Route("GET", "/hosts/<host>", SHELL, pages.host, "page", "text/html"),
    Route("GET", "/new", SHELL, pages.new, "page", "text/html", params=PAGE_NEW),
    Route("GET", "/help", SHELL, pages.about, "page", "text/html"),
    Route("GET", "/favicon.ico", SHELL, pages.favicon, "page", "image/svg+xml"),
    Route("GET", "/static/<digest>/<path:name>", SHELL, pages.static, "page", "application/octet-stream", errors=("route_not_found",)),
)
