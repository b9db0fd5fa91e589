"""Errors about tasks, hosts and other resources that do not exist or do not allow the operation."""

from __future__ import annotations

from server.errors.problem import USAGE, Problem

RESOURCES = (
    # the resource does not exist
    Problem("route_not_found", 404, 12, USAGE, "there is no such path", "/openapi.json lists all paths"),
    Problem(
        "method_not_allowed",
        405,
        12,
        USAGE,
        "this path does not accept this method",
        "the header Allow and /openapi.json list the methods of the path",
    ),
    Problem(
        "task_not_found",
        404,
        5,
        USAGE,
        "there is no task with this id",
        "list tasks to find it; it may have been deleted",
    ),
    Problem(
        "orphans_not_found",
        404,
        5,
        USAGE,
        "no lost executions are stored for a host with this id",
        "list the orphans to see the hosts that have some",
    ),
    Problem("host_not_found", 404, 5, USAGE, "there is no host with this id or name", "list hosts to find it"),
    Problem("host_ambiguous", 409, 9, USAGE, "several hosts have this name", "use one of their ids"),
    Problem(
        "group_not_found",
        404,
        5,
        USAGE,
        "the task has no result group with this number",
        "list the result groups of the task",
    ),
    Problem("execution_not_found", 404, 5, USAGE, "the task does not run on this host", "list the hosts of the task"),
    Problem(
        "join_token_not_found", 404, 5, USAGE, "there is no join token with this id", "list join tokens to find it"
    ),
    Problem(
        "join_request_not_found",
        404,
        5,
        USAGE,
        "there is no pending join request with this id",
        "list them with 'clarion join pending'; a request without a decision is dropped after enrol.pending_ttl",
    ),
    Problem(
        "output_not_found",
        404,
        5,
        USAGE,
        "this output is no longer stored",
        "outputs are deleted together with their task; run the command again",
    ),
    # the resource's state does not allow it
    Problem(
        "task_not_pending", 409, 9, USAGE, "the task has already been started", "create a new task to run it again"
    ),
    Problem("task_finished", 409, 9, USAGE, "the task has already ended", "there is nothing to cancel"),
    Problem("task_running", 409, 9, USAGE, "the task is running", "cancel it first"),
    Problem("host_connected", 409, 9, USAGE, "the host is online", "stop its agent first"),
    Problem("host_busy", 409, 9, USAGE, "the host has executions that have not ended", "wait for them or cancel them"),
    Problem(
        "host_exists", 409, 6, USAGE, "a host with this name exists", "use another name, or change the existing host"
    ),
    Problem(
        "host_not_enrolled",
        409,
        7,
        USAGE,
        "this server has not issued a certificate to the host",
        "let it join with 'clarion-agent join'",
    ),
    Problem(
        "range_not_satisfiable",
        416,
        11,
        USAGE,
        "the range is outside the stored part of the output",
        "request bytes within head or tail",
    ),
)
