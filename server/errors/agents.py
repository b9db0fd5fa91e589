"""Errors of joining, certificates and agents' messages."""

from __future__ import annotations

from server.errors.problem import NO_PERMISSION, SOFTWARE, UNAVAILABLE, USAGE, Problem

AGENTS = (
    Problem(
        "join_refused",
        401,
        16,
        NO_PERMISSION,
        "the join token is unknown, used up or expired",
        "create a new token with 'clarion join-token create'",
    ),
    Problem(
        "join_elsewhere",
        403,
        7,
        NO_PERMISSION,
        "the join token does not allow this host's address",
        "join from one of the token's networks, or create a token for this network",
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
        "this host has requested certificates too often",
        "the agent tries again later by itself; if this repeats, check its log",
    ),
    Problem(
        "enrolment_busy",
        429,
        8,
        UNAVAILABLE,
        "more hosts join or renew per second than this server accepts",
        "try again in a few seconds, or raise enrol.per_second",
    ),
    Problem(
        "certificate_unusable",
        401,
        16,
        NO_PERMISSION,
        "the certificate names no host of this server",
        "join with 'clarion-agent join'",
    ),
    Problem(
        "certificate_expired",
        401,
        16,
        NO_PERMISSION,
        "the host's certificate has expired",
        (
            "the agent can renew it for enrol.renew_after_end; after that, run 'clarion hosts release HOST' "
            "and join again"
        ),
    ),
    Problem(
        "identity_mismatch",
        403,
        7,
        NO_PERMISSION,
        "the certificate belongs to another host than the Hello names",
        "give each agent a state directory of its own",
    ),
    Problem(
        "identity_replaced",
        403,
        7,
        NO_PERMISSION,
        "the host has joined again since this certificate was issued",
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
        "to allow it again, run 'clarion hosts release HOST' and join again",
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
        "the first message must be a Hello with host, journal and boot",
        "use an agent of this version",
    ),
    Problem(
        "malformed_message", 400, 3, SOFTWARE, "a message is not a valid CommandMessage", "use an agent of this version"
    ),
    Problem(
        "superseded",
        409,
        10,
        SOFTWARE,
        "a newer session of this host has replaced this one",
        "run one agent per host id",
    ),
)
