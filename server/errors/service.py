"""Errors of the server, its limits and its database."""

from __future__ import annotations

from server.errors.problem import SOFTWARE, UNAVAILABLE, Problem

SERVICE = (
    Problem(
        "overloaded",
        503,
        14,
        UNAVAILABLE,
        "the database cannot keep up with the server's writes",
        "try again after the time in Retry-After",
    ),
    Problem(
        "too_many_viewers",
        503,
        14,
        UNAVAILABLE,
        "the limit of open event streams is reached",
        "close some of them, poll with `wait=` instead, or raise http.max_event_streams",
    ),
    Problem(
        "too_many_watched",
        503,
        14,
        UNAVAILABLE,
        "the limit of followed outputs is reached",
        "close some live views, or raise limits.live_output_executions; the output itself is not lost",
    ),
    Problem(
        "store_unavailable",
        503,
        14,
        UNAVAILABLE,
        "the database does not answer",
        "check the database; the server continues by itself when it answers",
    ),
    Problem(
        "store_refused",
        500,
        9,
        78,
        "the database refuses an operation that Clarion needs",
        "correct the settings in [store] or the rights of the database account",
    ),
    Problem(
        "database_missing",
        500,
        9,
        78,
        "the database of this data directory is missing",
        (
            "put it back, or put a backup in its place and run 'clarion-server restore'; to continue with an empty "
            "database without hosts and tasks, run 'clarion-server init --accept-database'"
        ),
    ),
    Problem(
        "database_foreign",
        500,
        9,
        78,
        "the database does not belong to this data directory",
        (
            "correct the settings in [store]; to use this database from now on, run "
            "'clarion-server init --accept-database'"
        ),
    ),
    Problem(
        "database_replaced",
        500,
        9,
        78,
        "the database was removed or replaced while the server used it",
        (
            "before the next start, put the copy that the error names, or a backup, in its place; "
            "after a backup, run 'clarion-server restore'"
        ),
    ),
    Problem(
        "lease_held",
        503,
        14,
        UNAVAILABLE,
        "another server uses this database",
        "stop the other server first; if it no longer runs, wait until its lease expires, or raise store.lease_wait",
    ),
    Problem(
        "fenced",
        503,
        14,
        UNAVAILABLE,
        "another server now uses the database",
        "this server has written nothing since; start it again, and let only one server use this database",
    ),
    Problem("shutting_down", 503, 14, UNAVAILABLE, "the server is shutting down", "try again in a few seconds"),
    Problem(
        "internal",
        500,
        13,
        SOFTWARE,
        "the server failed because of a bug",
        "give the request id to the administrator of the server; the log names the cause",
    ),
)
