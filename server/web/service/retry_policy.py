"""What a TaskBody says about waiting for hosts and trying again, checked."""

from __future__ import annotations

from proto.reasons import REASONS
from server.core.model import Retry
from server.web.http.limits import Limits
from server.web.schemas.requests import RetryBody, TaskBody
from server.web.service.checks import count, refuse, seconds

CAN_HELP = tuple(reason.code for reason in REASONS.values() if reason.retryable)
NEVER = frozenset(
    {"canceled", "canceled_before_start", "force_canceled", "output_limit", "unknown", "rolled_back", "restored"}
)
"""Somebody wanted it to end, or nobody knows what happened."""
RAN = tuple(reason.code for reason in REASONS.values() if reason.started and reason.code not in NEVER)


def wait_ms(body: TaskBody, limits: Limits) -> int | None:
    """None: hosts that are not connected are not waited for. Raises ClarionError invalid_value."""
    length = seconds("wait_for", body.wait_for, 0.001, limits.timeout_max)
    return length if body.if_offline == "wait" else None


def policy(asked: RetryBody | None, limits: Limits) -> Retry | None:
    """Raises ClarionError invalid_value."""
    if asked is None:
        return None
    default = (*CAN_HELP, *RAN) if asked.idempotent else CAN_HELP
    codes = default if asked.codes is None else tuple(dict.fromkeys(asked.codes))
    for index, code in enumerate(codes):
        if code not in REASONS or code in NEVER:
            raise refuse(
                f"retry.codes[{index}]",
                f"{code[:60]!r} is no reason to try again",
                f"one of: {', '.join((*CAN_HELP, *RAN))}",
            )
        if code in RAN and not asked.idempotent:
            raise refuse(
                f"retry.codes[{index}]",
                f"{code} means that it may have run",
                "add idempotent if running it twice does no harm",
            )
    if not codes:
        raise refuse("retry.codes", "is empty", "name reasons, or leave codes out")
    return Retry(
        attempts=count("retry.attempts", asked.attempts, 1, limits.attempts, "limits.attempts"),
        codes=codes,
        backoff_ms=seconds("retry.backoff", asked.backoff, 0, limits.timeout_max),
        backoff_max_ms=seconds("retry.backoff_max", asked.backoff_max, 0, limits.timeout_max),
        idempotent=asked.idempotent,
    )
