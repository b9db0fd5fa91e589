"""The table of all HTTP routes. The router, the access checks and the OpenAPI description are made from it."""

from __future__ import annotations

from proto.common.modules import declared_in
from server.web.http.route import Route
from server.web.resource import Resource
from server.web.routes import hosts, page, results, server, tasks

ROUTES: tuple[Route, ...] = (
    *tasks.ROUTES,
    *results.ROUTES,
    *hosts.ROUTES,
    *(route for noun in declared_in("server.web.nouns", Resource) for route in noun.routes()),
    *server.ROUTES,
    *page.ROUTES,
)
