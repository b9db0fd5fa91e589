"""Errors of authentication and of the form of a request."""

from __future__ import annotations

from server.errors.problem import NO_PERMISSION, UNAVAILABLE, USAGE, Problem

REQUESTS = (
    # authentication
    Problem(
        "unauthenticated",
        401,
        16,
        NO_PERMISSION,
        "the request has no token, or an unknown one",
        "send 'Authorization: Bearer TOKEN'; the admin token is in DATA/admin.token",
    ),
    Problem(
        "token_read_only",
        403,
        7,
        NO_PERMISSION,
        "this token allows only reading metrics, health and the API description",
        "use another token; the admin token is in DATA/admin.token",
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
        "the session cookie is accepted from this server's own pages only",
        "programs send 'Authorization: Bearer TOKEN' instead",
    ),
    Problem(
        "csrf_mismatch",
        403,
        7,
        USAGE,
        "the request lacks the CSRF token of its session",
        "send the `csrf` of GET /api/v1/session as X-Clarion-CSRF; reload the page if it was open for long",
    ),
    Problem(
        "too_many_logins",
        429,
        8,
        NO_PERMISSION,
        "this address has sent too many wrong tokens",
        "wait for the time in Retry-After, then use the right token; the admin token is in DATA/admin.token",
    ),
    # the form of the request
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
        "the body is larger than this server accepts",
        "send less, or raise http.max_body",
    ),
    Problem(
        "malformed_request",
        400,
        3,
        USAGE,
        "the request is not valid HTTP/1.1",
        "end lines with CR LF, send one length, and begin the path with /",
    ),
    Problem(
        "headers_too_large",
        431,
        8,
        USAGE,
        "the request line and headers are larger than this server accepts",
        "send fewer or shorter headers, or raise http.max_head and http.max_head_fields",
    ),
    Problem(
        "transfer_coding",
        501,
        12,
        USAGE,
        "the Transfer-Encoding of the request is not supported",
        "send the body chunked or with a Content-Length",
    ),
    Problem("http_version", 505, 12, USAGE, "this port accepts only HTTP/1.1", "use HTTP/1.1"),
    Problem(
        "request_timeout",
        408,
        4,
        UNAVAILABLE,
        "the body did not arrive in time",
        "send the request again over a faster connection, or raise http.body_timeout",
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
        "the expression is not valid",
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
        "some of the named hosts are not known",
        "correct the names; the list of hosts has the right ones",
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
)
