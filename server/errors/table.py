"""The table of all errors."""

from __future__ import annotations

from server.errors.agents import AGENTS
from server.errors.backups import BACKUPS
from server.errors.problem import Problem
from server.errors.requests import REQUESTS
from server.errors.resources import RESOURCES
from server.errors.service import SERVICE

PROBLEMS: dict[str, Problem] = {
    problem.code: problem for problem in (*REQUESTS, *RESOURCES, *SERVICE, *BACKUPS, *AGENTS)
}
"""All errors by code, in the order of docs/reference/errors.md."""
