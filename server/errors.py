"""Every error an operator can meet: one stable code, one sentence, one remedy, and what it is on each way out.

HTTP status, gRPC status (numbers of grpc/status.proto) and the CLI's exit code come from this table and nowhere else.
docs/reference/errors.md is drawn from it; tests/web/test_errors.py raises each of them.
"""

from __future__ import annotations

from dataclasses import dataclass

USAGE, FAILED, UNREACHABLE, CANCELED, TIMEOUT = 64, 2, 3, 4, 5
SOFTWARE, UNAVAILABLE, NO_PERMISSION = 70, 69, 77
UNTOLD, NOT_ENDED = 74, 75
"""Exit codes; those from 64 on are sysexits.h. NOT_ENDED (EX_TEMPFAIL): a wait was over before the task was. UNTOLD
(EX_IOERR): what was asked for has been started, or may have been, and its end could
not be told; whoever repeats the call may run it a second time."""


@dataclass(frozen=True, slots=True)
class Problem:
    """http: status. grpc: status code number. exit: what the CLI returns. message, hint: defaults."""

    code: str
    http: int
    grpc: int
    exit: int
    message: str
    hint: str


_ALL = (
    # authentication
    Problem(
        "unauthenticated",
        401,
        16,
        NO_PERMISSION,
        "no token, or one that this server does not know",
        "send 'Authorization: Bearer TOKEN'; the admin token lies in DATA/admin.token",
    ),
    Problem(
        "token_read_only",
        403,
        7,
        NO_PERMISSION,
        "this token only reads metrics, health and the API's description",
        "use another token; the admin token lies in DATA/admin.token",
    ),
    Problem(
        "token_misplaced",
        400,
        3,
        USAGE,
        "tokens are not accepted in the address, because addresses are logged",
        "send it as 'Authorization: Bearer TOKEN'",
    ),
    Problem(
        "cross_site",
        403,
        7,
        USAGE,
        "the session's cookie is accepted from this server's own pages only",
        "programs send 'Authorization: Bearer TOKEN' instead",
    ),
    Problem(
        "csrf_mismatch",
        403,
        7,
        USAGE,
        "the request lacks its session's CSRF token",
        "send the `csrf` of GET /api/v1/session as X-Clarion-CSRF; reload the page if it was open for long",
    ),
    Problem(
        "too_many_logins",
        429,
        8,
        NO_PERMISSION,
        "too many attempts with a wrong token came from this address",
        "wait for the time in Retry-After, then use the right token; the admin token lies in DATA/admin.token",
    ),
    # the request
    Problem("malformed_json", 400, 3, USAGE, "the body is not JSON", "check the body with a JSON parser"),
    Problem(
        "json_too_deep",
        400,
        3,
        USAGE,
        "the JSON is nested too deeply or has too many keys or values",
        "send flatter or shorter JSON, or raise http.max_json_depth, http.max_json_keys or http.max_json_values",
    ),
    Problem("unsupported_media_type", 415, 3, USAGE, "the body must be JSON", "send 'Content-Type: application/json'"),
    Problem(
        "body_too_large",
        413,
        8,
        USAGE,
        "the body is larger than this server takes",
        "send less, or raise http.max_body",
    ),
    Problem(
        "malformed_request",
        400,
        3,
        USAGE,
        "the request is not HTTP/1.1 as this server reads it",
        "send lines that end with CR LF, one length, and a path that begins with /",
    ),
    Problem(
        "headers_too_large",
        431,
        8,
        USAGE,
        "the request's first line and headers are larger than this server takes",
        "send fewer or shorter headers, or raise http.max_head and http.max_head_fields",
    ),
    Problem(
        "transfer_coding",
        501,
        12,
        USAGE,
        "the request's Transfer-Encoding is not known",
        "send it chunked, or with a Content-Length",
    ),
    Problem(
        "http_version", 505, 12, USAGE, "this port speaks HTTP/1.1", "use HTTP/1.1; there is no HTTP/2 on this port"
    ),
    Problem(
        "request_timeout",
        408,
        4,
        UNAVAILABLE,
        "the request's body did not arrive in time",
        "send it again over a faster connection, or raise http.body_timeout",
    ),
    Problem("missing_field", 422, 3, USAGE, "a required field is missing", "add the field"),
    Problem("unknown_field", 422, 3, USAGE, "there is no such field", "remove it or correct its name"),
    Problem(
        "wrong_type", 422, 3, USAGE, "the field has the wrong type", "/openapi.json describes the type of every field"
    ),
    Problem(
        "invalid_value",
        422,
        3,
        USAGE,
        "the field's value is not allowed",
        "correct the field that the error names; /openapi.json describes it",
    ),
    Problem(
        "invalid_expression",
        422,
        3,
        USAGE,
        "the expression cannot be understood",
        (
            "correct it at the column that the error names; docs/guide/selectors.md and docs/guide/results.md "
            "describe the grammars"
        ),
    ),
    Problem(
        "unknown_hosts",
        422,
        3,
        USAGE,
        "some of the hosts named are not known",
        "correct the names, or look for them in the list of hosts",
    ),
    Problem("no_hosts", 422, 3, USAGE, "the targets select no host", "join an agent first, or name other targets"),
    Problem(
        "idempotency_mismatch",
        422,
        6,
        USAGE,
        "this Idempotency-Key was used for a different request",
        "use a new key for a new request",
    ),
    # nothing there
    Problem("route_not_found", 404, 12, USAGE, "there is no such address", "/openapi.json lists all of them"),
    Problem(
        "method_not_allowed",
        405,
        12,
        USAGE,
        "this address does not accept this method",
        "/openapi.json lists the methods of each address; so does Allow",
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
        "no lost executions are kept of a host with this id",
        "list orphans to find the hosts that have some",
    ),
    Problem("host_not_found", 404, 5, USAGE, "there is no host with this id or name", "list hosts to find it"),
    Problem("host_ambiguous", 409, 9, USAGE, "several hosts have this name", "use one of their ids"),
    Problem(
        "group_not_found", 404, 5, USAGE, "the task has no group of answers with this number", "list the task's groups"
    ),
    Problem("execution_not_found", 404, 5, USAGE, "the task has no such host", "list the task's hosts"),
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
        "this output is no longer kept",
        "outputs are deleted together with their task; run the command again",
    ),
    # not now
    Problem("task_not_pending", 409, 9, USAGE, "the task was started before", "create a new task to run it again"),
    Problem("task_finished", 409, 9, USAGE, "the task has already ended", "nothing is left to cancel"),
    Problem("task_running", 409, 9, USAGE, "the task is running", "cancel it first"),
    Problem("host_connected", 409, 9, USAGE, "the host is online", "stop its agent first"),
    Problem("host_busy", 409, 9, USAGE, "the host has executions that have not ended", "wait for them or cancel them"),
    Problem(
        "host_exists", 409, 6, USAGE, "a host with this name exists", "use another name, or update the one there is"
    ),
    Problem(
        "host_not_enrolled",
        409,
        7,
        USAGE,
        "the host has no certificate of this server",
        "let it join with 'clarion-agent join'",
    ),
    Problem(
        "range_not_satisfiable",
        416,
        11,
        USAGE,
        "the range lies outside what is kept of this output",
        "ask for bytes within head or tail",
    ),
    # the server
    Problem(
        "overloaded",
        503,
        14,
        UNAVAILABLE,
        "the server has more to write than its database takes",
        "try again after the time in Retry-After",
    ),
    Problem(
        "too_many_viewers",
        503,
        14,
        UNAVAILABLE,
        "the limit of open event streams is reached",
        "close some, poll with `wait=` instead, or raise http.max_event_streams",
    ),
    Problem(
        "too_many_watched",
        503,
        14,
        UNAVAILABLE,
        "the limit of followed outputs is reached",
        "close some of those views, or raise limits.live_output_executions; the output itself is kept",
    ),
    Problem(
        "store_unavailable",
        503,
        14,
        UNAVAILABLE,
        "the database does not answer",
        "look at the database; the server goes on by itself when it is back",
    ),
    Problem(
        "store_refused",
        500,
        9,
        78,
        "the database refuses what Clarion needs of it",
        "correct the settings of the section [store], or what the database account may do",
    ),
    Problem(
        "database_missing",
        500,
        9,
        78,
        "the database of this data directory is missing",
        (
            "put it back, or a backup of it and then run 'clarion-server restore'; to go on with an empty "
            "database, which knows no host and no task, run 'clarion-server init --accept-database'"
        ),
    ),
    Problem(
        "database_foreign",
        500,
        9,
        78,
        "the database is not the one of this data directory",
        (
            "name the right one with the settings under 'store'; if this one is to be used from now on, run "
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
            "put the copy that the error names, or a backup, in its place before the server is started again; "
            "after a backup run 'clarion-server restore'"
        ),
    ),
    Problem(
        "lease_held",
        503,
        14,
        UNAVAILABLE,
        "another server uses this database",
        "stop that one first; if it is gone, wait until its lease has run out, or raise store.lease_wait",
    ),
    Problem(
        "fenced",
        503,
        14,
        UNAVAILABLE,
        "another server has taken over the database",
        "nothing of this server was written since; start it again, and see that only one server uses this database",
    ),
    Problem("shutting_down", 503, 14, UNAVAILABLE, "the server is shutting down", "try again in a few seconds"),
    Problem(
        "internal",
        500,
        13,
        SOFTWARE,
        "the server failed in a way it did not foresee",
        "give the request id to the administrator of the server, whose log names the cause",
    ),
    # agents
    Problem(
        "join_refused",
        401,
        16,
        NO_PERMISSION,
        "the join token is unknown, used up or out of date",
        "make a new one with 'clarion join-token create'",
    ),
    Problem(
        "join_elsewhere",
        403,
        7,
        NO_PERMISSION,
        "the join token is not good for this host's address",
        "join from one of the token's networks, or make a token for this one",
    ),
    Problem(
        "join_pending",
        409,
        9,
        UNAVAILABLE,
        "the join waits for an operator's approval",
        "approve it with 'clarion join approve ID'; the agent asks again by itself",
    ),
    Problem(
        "join_denied", 403, 7, NO_PERMISSION, "an operator has denied this join", "ask the administrator of the server"
    ),
    Problem(
        "join_queue_full",
        429,
        8,
        UNAVAILABLE,
        "too many joins wait for approval",
        "approve or deny some of them, or raise enrol.pending",
    ),
    Problem(
        "host_enrolled",
        409,
        6,
        USAGE,
        "this host has joined before",
        "run 'clarion hosts release HOST' first, or join with an empty state directory as a new host",
    ),
    Problem(
        "renewed_too_often",
        429,
        8,
        UNAVAILABLE,
        "this host has asked for certificates too often",
        "the agent tries again later by itself; if it goes on, look at its log",
    ),
    Problem(
        "enrolment_busy",
        429,
        8,
        UNAVAILABLE,
        "more hosts join or renew than this server takes per second",
        "try again in a few seconds, or raise enrol.per_second",
    ),
    Problem(
        "certificate_unusable",
        401,
        16,
        NO_PERMISSION,
        "the certificate shown names no host of this server",
        "join with 'clarion-agent join'",
    ),
    Problem(
        "certificate_expired",
        401,
        16,
        NO_PERMISSION,
        "the host's certificate is out of date",
        (
            "its agent renews it by itself for enrol.renew_after_end; after that run 'clarion hosts release HOST' "
            "and join again"
        ),
    ),
    Problem(
        "identity_mismatch",
        403,
        7,
        NO_PERMISSION,
        "the certificate belongs to another host than the one that Hello names",
        "give each agent a state directory of its own",
    ),
    Problem(
        "identity_replaced",
        403,
        7,
        NO_PERMISSION,
        "the host has joined again since this certificate was made",
        "remove this copy of the agent's state",
    ),
    Problem(
        "host_must_join",
        403,
        7,
        NO_PERMISSION,
        "the host must join again",
        "run 'clarion-agent join' on it with a new join token",
    ),
    Problem(
        "host_revoked",
        403,
        7,
        NO_PERMISSION,
        "the host is revoked",
        "if it may come back, run 'clarion hosts release HOST' and join again",
    ),
    Problem(
        "host_quarantined",
        403,
        7,
        NO_PERMISSION,
        "two agents have used this host's identity, so neither is trusted",
        "find and remove the copy, run 'clarion hosts release HOST', then join again",
    ),
    Problem(
        "hello_expected",
        400,
        3,
        SOFTWARE,
        "the first message must be a Hello that names host, journal and boot",
        "use an agent of this version",
    ),
    Problem(
        "malformed_message", 400, 3, SOFTWARE, "a message is not a valid CommandMessage", "use an agent of this version"
    ),
    Problem(
        "superseded", 409, 10, SOFTWARE, "a newer session of this host has taken over", "run one agent per host id"
    ),
)

PROBLEMS: dict[str, Problem] = {problem.code: problem for problem in _ALL}


class ClarionError(Exception):
    """Raised wherever an operator's or an agent's request cannot be carried out. Nothing was changed.

    field: dotted path of the offending input, or None. details: extra members of the JSON error, e.g. every unknown
    host.
    retry_after: seconds after which it may go better, where that is known.
    Raises KeyError at once for a code that is not in the table.
    """

    def __init__(
        self,
        code: str,
        message: str | None = None,
        *,
        field: str | None = None,
        hint: str | None = None,
        details: dict[str, object] | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.problem = PROBLEMS[code]
        self.code = code
        self.message = message or self.problem.message
        self.field = field
        self.hint = hint or self.problem.hint
        self.details = details or {}
        self.retry_after = retry_after
        super().__init__(f"{code}: {self.message}")

    def as_problem(self, request_id: str) -> dict[str, object]:
        """The same as problem details of RFC 9457. `title` is that of every error with this code, `detail` that of this
        one."""
        body: dict[str, object] = {
            "type": f"urn:clarion:error:{self.code}",
            "title": self.problem.message,
            "status": self.problem.http,
            "detail": self.message,
        }
        return (
            body | {"code": self.code, "field": self.field, "hint": self.hint, "request_id": request_id} | self.details
        )

    def as_json(self) -> dict[str, object]:
        """The one shape: {"error": {code, message, field, hint, …}}."""
        body: dict[str, object] = {"code": self.code, "message": self.message, "field": self.field, "hint": self.hint}
        return {"error": body | self.details}
