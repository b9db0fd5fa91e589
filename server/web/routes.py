"""The one table of everything that can be reached over HTTP. What is not in it does not exist; what is in it names who may call it."""

from __future__ import annotations

from server.web.api import events, health, session, vocabulary
from server.web.api.hosts import history, hosts, identity, join_tokens, orphans, selection, states
from server.web.api.tasks import cancel, executions, groups, live_output, rerun, search, tasks
from server.web.api.tasks.long_poll import WAIT
from server.web.http import sse
from server.web.http.auth import Access
from server.web.http.route import Param, Route
from server.web.page import pages
from server.web.schemas import responses, result_responses
from server.web.schemas.requests import (
    CancelBody,
    HostBody,
    HostPatch,
    JoinTokenBody,
    LoginBody,
    ReplaceBody,
    RerunBody,
    SelectBody,
    TaskBody,
)
from server.web.service.create_task import HEADER

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
    Route("POST", f"{API}/tasks", T, tasks.create_task, "tasks", responses.TaskView, 201, TaskBody, headers=KEY, also=AGAIN, errors=CREATE),
    Route("POST", f"{API}/run", T, tasks.run_task, "tasks", responses.TaskView, 201, TaskBody, headers=KEY, also=AGAIN, errors=CREATE),
    Route("GET", f"{API}/tasks", T, tasks.list_tasks, "tasks", responses.TaskPage, params=(*tasks.FILTERS, *tasks.PAGING), errors=("host_not_found", "host_ambiguous")),
    Route("GET", f"{API}/tasks/pending", T, tasks.list_pending, "tasks", responses.TaskPage, params=(*RUN_FILTERS, *tasks.PAGING), errors=("host_not_found", "host_ambiguous")),
    Route("GET", f"{API}/tasks/running", T, tasks.list_running, "tasks", responses.TaskPage, params=(*RUN_FILTERS, *tasks.PAGING), errors=("host_not_found", "host_ambiguous")),
    Route("GET", f"{API}/tasks/<task_id>", T, tasks.get_task, "tasks", responses.TaskView, params=WAIT, errors=("task_not_found",)),
    Route("DELETE", f"{API}/tasks/<task_id>", T, tasks.delete_task, "tasks", None, 204, errors=("task_not_found", "task_running", *WRITE)),
    Route("POST", f"{API}/tasks/<task_id>/start", T, tasks.start_task, "tasks", responses.TaskView, errors=("task_not_found", "task_not_pending", *WRITE)),
    Route(
        *("POST", f"{API}/tasks/<task_id>/cancel", T, cancel.cancel_task, "tasks", responses.TaskView, 202, CancelBody),
        optional=True,
        errors=("task_not_found", "execution_not_found", "host_ambiguous", "task_finished", *WRITE),
    ),
    Route(
        *("POST", f"{API}/tasks/<task_id>/rerun", T, rerun.rerun_task, "tasks", responses.TaskView, 201, RerunBody),
        optional=True,
        headers=KEY,
        also=AGAIN,
        errors=("task_not_found", "task_running", "execution_not_found", *CREATE),
    ),
    Route("GET", f"{API}/tasks/<task_id>/progress", T, tasks.get_progress, "tasks", responses.ProgressView, params=WAIT, errors=("task_not_found",)),
    # executions
    Route("GET", f"{API}/tasks/<task_id>/hosts", T, executions.list_executions, "executions", responses.ExecutionPage, params=executions.FILTERS, errors=("task_not_found",)),
    Route("GET", f"{API}/tasks/<task_id>/hosts/<host>", T, executions.get_execution, "executions", responses.ExecutionView, errors=("task_not_found", "execution_not_found", "host_ambiguous")),
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
        responses.OutputView,
        params=executions.OUTPUT,
        headers=(("Range", "With `Accept: application/octet-stream`: one range of bytes within the part, e.g. `bytes=0-1023`. What is not written so is ignored (RFC 9110 section 14.2)."),),
        errors=("task_not_found", "execution_not_found", "host_ambiguous", "output_not_found", "range_not_satisfiable"),
        raw=True,
    ),
    # answers
    Route("GET", f"{API}/tasks/<task_id>/groups", T, groups.list_groups, "answers", result_responses.GroupPage, params=groups.FILTERS, errors=("task_not_found", "invalid_expression")),
    Route("GET", f"{API}/tasks/<task_id>/groups/<number>/diff", T, groups.get_diff, "answers", result_responses.DiffView, params=groups.DIFF, errors=("task_not_found", "group_not_found", "output_not_found")),
    Route("GET", f"{API}/tasks/<task_id>/search", T, search.search_outputs, "answers", result_responses.SearchPage, params=search.SEARCH, errors=("task_not_found", "missing_field")),
    Route("GET", f"{API}/tasks/<task_id>/cells", T, states.list_cells, "answers", result_responses.CellsView, errors=("task_not_found",)),
    Route("GET", f"{API}/tasks/<task_id>/states", T, states.get_states, "answers", states.OCTETS, params=states.SINCE, errors=("task_not_found",)),
    # hosts
    Route("POST", f"{API}/hosts", T, hosts.create_host, "hosts", responses.HostView, 201, HostBody, errors=("host_exists", *WRITE)),
    Route("POST", f"{API}/hosts/select", T, selection.select_hosts, "hosts", result_responses.SelectionView, body=SelectBody, errors=("no_hosts", "invalid_expression")),
    Route("GET", f"{API}/hosts", T, hosts.list_hosts, "hosts", responses.HostPage, params=hosts.FILTERS, errors=("invalid_expression",)),
    Route("GET", f"{API}/hosts/<host>", T, hosts.get_host, "hosts", responses.HostView, errors=("host_not_found", "host_ambiguous")),
    Route("GET", f"{API}/hosts/<host>/tasks", T, history.list_history, "hosts", result_responses.PastPage, params=history.PARAMS, errors=("host_not_found", "host_ambiguous")),
    Route("PATCH", f"{API}/hosts/<host>", T, hosts.change_host, "hosts", responses.HostView, body=HostPatch, errors=("host_not_found", "host_ambiguous", "host_exists", *WRITE)),
    Route("DELETE", f"{API}/hosts/<host>", T, hosts.delete_host, "hosts", None, 204, errors=("host_not_found", "host_ambiguous", "host_connected", "host_busy", *WRITE)),
    Route("POST", f"{API}/hosts/<host>/replace", T, hosts.replace_host, "hosts", responses.HostView, body=ReplaceBody, errors=("host_not_found", "host_ambiguous", "host_connected", *WRITE)),
    Route("POST", f"{API}/hosts/<host>/revoke", T, identity.revoke_host, "hosts", responses.HostView, errors=("host_not_found", "host_ambiguous", "host_not_enrolled", *WRITE)),
    Route("POST", f"{API}/hosts/<host>/release", T, identity.release_host, "hosts", responses.HostView, errors=("host_not_found", "host_ambiguous", "host_not_enrolled", *WRITE)),
    # what the database has lost
    Route("GET", f"{API}/orphans", T, orphans.list_orphans, "hosts", orphans.OrphanPage, params=(Param("host", "string", "Id of a host: those of this host only."), *tasks.PAGING)),
    Route("DELETE", f"{API}/orphans/<host_id>", T, orphans.delete_orphans, "hosts", None, 204, errors=("orphans_not_found", *WRITE)),
    # joining
    Route("POST", f"{API}/join-tokens", T, join_tokens.create_join_token, "joining", responses.JoinTokenCreated, 201, JoinTokenBody, errors=WRITE),
    Route("GET", f"{API}/join-tokens", T, join_tokens.list_join_tokens, "joining", responses.JoinTokenPage, params=tasks.PAGING),
    Route("DELETE", f"{API}/join-tokens/<token_id>", T, join_tokens.delete_join_token, "joining", None, 204, errors=("join_token_not_found", *WRITE)),
    Route("GET", f"{API}/join-requests", T, join_tokens.list_join_requests, "joining", responses.JoinRequestPage, params=tasks.PAGING),
    Route("POST", f"{API}/join-requests/<request_id>/approve", T, join_tokens.approve_join_request, "joining", responses.JoinRequestView, errors=("join_request_not_found", *WRITE)),
    Route("POST", f"{API}/join-requests/<request_id>/deny", T, join_tokens.deny_join_request, "joining", responses.JoinRequestView, errors=("join_request_not_found", *WRITE)),
    # watching
    Route("GET", f"{API}/events", T, events.get_events, "server", sse.KIND, params=events.PARAMS, headers=events.HEADERS, errors=("task_not_found", "missing_field", "too_many_viewers")),
    # who calls
    Route("POST", f"{API}/session", Access.LOGIN, session.log_in, "session", responses.SessionView, 201, LoginBody, errors=("unauthenticated", "token_read_only", "too_many_logins", "cross_site")),
    Route("GET", f"{API}/session", T, session.get_session, "session", responses.SessionView),
    Route("DELETE", f"{API}/session", T, session.log_out, "session", None, 204),
    # the server itself
    Route("GET", f"{API}/words", T, vocabulary.get_words, "server", result_responses.WordsView, params=vocabulary.PARAMS),
    Route("GET", f"{API}/statistics", T, health.statistics, "server", responses.StatisticsView),
    Route("GET", "/health/live", OPEN, health.live, "server", responses.LiveView),
    Route("GET", "/health/ready", OPEN, health.ready, "server", responses.ReadyView, errors=("shutting_down", "store_unavailable")),
    Route("GET", "/health/deep", READ, health.deep, "server", responses.DeepView, also={503: "A part is red; `checks` says which."}),
    Route("GET", "/metrics", READ, health.prometheus, "server", "text/plain"),
    Route("GET", "/openapi.json", READ, health.openapi, "server", "application/json"),
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
