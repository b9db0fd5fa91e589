"""The table of all errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

from server.errors.problem import Problem


class ProblemTable(Mapping[str, Problem]):
    """All errors by code, in the order of docs/reference/errors.md.

    It is filled at the first use: the command line needs it only after an error.
    """

    @cached_property
    def all(self) -> dict[str, Problem]:
        """The errors. Those of a noun are found by their folder, `server/errors/nouns`."""
        from proto.common.modules import declared_in
        from server.errors.agents import AGENTS
        from server.errors.backups import BACKUPS
        from server.errors.requests import REQUESTS
        from server.errors.resources import RESOURCES
        from server.errors.service import SERVICE

        nouns = declared_in("server.errors.nouns", Problem)
        return {problem.code: problem for problem in (*REQUESTS, *RESOURCES, *nouns, *SERVICE, *BACKUPS, *AGENTS)}

    def __getitem__(self, code: str) -> Problem:
        """Return the error with this code."""
        return self.all[code]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the codes."""
        return iter(self.all)

    def __len__(self) -> int:
        """Return the number of errors."""
        return len(self.all)


PROBLEMS = ProblemTable()
