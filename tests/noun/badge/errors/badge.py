"""Errors of badges."""

from __future__ import annotations

from server.errors.problem import USAGE, Problem

NOT_FOUND = Problem(
    "badge_not_found",
    404,
    5,
    USAGE,
    "there is no badge with this code",
    "list the badges",
    ("没有这个徽章", "查看徽章列表"),
)
EXISTS = Problem(
    "badge_exists", 409, 6, USAGE, "a badge with this code exists", "use another code", ("已有这个徽章", "换一个代码")
)
