"""The table of all HTTP routes. The router, the access checks and the OpenAPI description are made from it."""

from __future__ import annotations

from server.web.http.route import Route
from server.web.routes import hosts, page, results, server, tasks

ROUTES: tuple[Route, ...] = (*tasks.ROUTES, *results.ROUTES, *hosts.ROUTES, *server.ROUTES, *page.ROUTES)
