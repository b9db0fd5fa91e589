"""Routes of the web page."""

from __future__ import annotations

from server.web.api.hosts import hosts
from server.web.api.tasks import tasks
from server.web.http.route import Param, Route
from server.web.page import pages
from server.web.routes.common import SHELL

TASK = (Param("host", "string", "Id of the host to show."),)
HOSTS = tuple(param for param in hosts.FILTERS if param.name in ("select", "connected"))
NEW = (Param("targets", "string", "Initial content of the field for hosts."),)
LOGIN = (Param("next", "string", "Path of the page to open after the login."),)

ROUTES: tuple[Route, ...] = (
    Route("GET", "/", SHELL, pages.index, "page", "text/html"),
    Route("GET", "/login", SHELL, pages.login, "page", "text/html", params=LOGIN),
    Route("GET", "/tasks", SHELL, pages.tasks, "page", "text/html", params=tasks.FILTERS),
    Route("GET", "/tasks/<task_id>", SHELL, pages.task, "page", "text/html", params=TASK),
    Route("GET", "/hosts", SHELL, pages.hosts, "page", "text/html", params=HOSTS),
    Route("GET", "/hosts/<host>", SHELL, pages.host, "page", "text/html"),
    Route("GET", "/new", SHELL, pages.new, "page", "text/html", params=NEW),
    Route("GET", "/help", SHELL, pages.about, "page", "text/html"),
    Route("GET", "/favicon.ico", SHELL, pages.favicon, "page", "image/svg+xml"),
    Route(
        "GET",
        "/static/<digest>/<path:name>",
        SHELL,
        pages.static,
        "page",
        "application/octet-stream",
        errors=("route_not_found",),
    ),
)
