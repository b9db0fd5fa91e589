"""Routes of events, sessions, health and metrics."""

from __future__ import annotations

from server.web.api import events, health, session, vocabulary
from server.web.http import sse
from server.web.http.auth import Access
from server.web.http.route import API, Route
from server.web.routes.common import OPEN, READ, T
from server.web.schemas.requests import LoginBody
from server.web.schemas.server import DeepView, LiveView, ReadyView, SessionView, StatisticsView, WordsView

ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        f"{API}/events",
        T,
        events.get_events,
        "server",
        sse.KIND,
        params=events.PARAMS,
        headers=events.HEADERS,
        errors=("task_not_found", "missing_field", "too_many_viewers"),
    ),
    Route(
        "POST",
        f"{API}/session",
        Access.LOGIN,
        session.log_in,
        "session",
        SessionView,
        201,
        LoginBody,
        errors=("unauthenticated", "token_read_only", "too_many_logins", "cross_site"),
    ),
    Route("GET", f"{API}/session", T, session.get_session, "session", SessionView),
    Route("DELETE", f"{API}/session", T, session.log_out, "session", None, 204),
    Route("GET", f"{API}/words", T, vocabulary.get_words, "server", WordsView, params=vocabulary.PARAMS),
    Route("GET", f"{API}/statistics", T, health.statistics, "server", StatisticsView),
    Route("GET", "/health/live", OPEN, health.live, "server", LiveView),
    Route(
        "GET",
        "/health/ready",
        OPEN,
        health.ready,
        "server",
        ReadyView,
        errors=("shutting_down", "store_unavailable"),
    ),
    Route(
        "GET",
        "/health/deep",
        READ,
        health.deep,
        "server",
        DeepView,
        also={503: "A part of the server is unhealthy; `checks` names it."},
    ),
    Route("GET", "/metrics", READ, health.prometheus, "server", "text/plain"),
    Route("GET", "/openapi.json", READ, health.openapi, "server", "application/json"),
)
