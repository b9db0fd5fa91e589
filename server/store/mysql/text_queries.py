"""Reads the results and the states of a task's executions as few long texts instead of many rows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from itertools import chain

import trio

from server.core.results.groups import ResultGroup
from server.store.base import StoreRefused
from server.store.mysql.text_rows import answers_from_lines
from server.store.sql import Dialect
from server.store.tables.columns import Row
from server.store.task_list import LAST_ID

PART = 5_000
"""Rows in one text: about a megabyte, and never more than the default max_allowed_packet, which limits such a text."""

Fetch = Callable[[str, Mapping[str, object]], Awaitable[Sequence[Row]]]


class MySQLLines:
    """The reads that return texts."""

    def __init__(self, dialect: Dialect, fetch: Fetch) -> None:
        """Load the queries; `fetch` runs one."""
        self._sql = dialect.load("answers_mysql")
        self._fetch = fetch

    async def answers(self, command_id: str) -> list[ResultGroup]:
        """Executions grouped by result.

        Raises:
            StoreUnavailable: the database cannot be reached.
            StoreRefused: the database cut a text.
        """
        return await trio.to_thread.run_sync(partial(_answers, await self._texts("answer_lines", command_id)))

    async def states(self, command_id: str) -> Sequence[str]:
        """One line per execution.

        Raises:
            StoreUnavailable: the database cannot be reached.
            StoreRefused: the database cut a text.
        """
        return _lines(await self._texts("state_lines", command_id))

    async def _texts(self, query: str, command_id: str) -> list[tuple[int, str]]:
        """The number of lines that a text must have, and the text, by parts.

        No row is in two parts, because a command's hosts never change.
        """
        found: list[tuple[int, str]] = []
        after = ""
        while True:
            ends = await self._fetch(
                self._sql["part_end"], {"command_id": command_id, "after": after, "offset": PART - 1}
            )
            last = ends[0][0] if ends else LAST_ID
            ((count, text),) = await self._fetch(
                self._sql[query], {"command_id": command_id, "after": after, "last": last}
            )
            if count:
                found.append((count, text))
            if not ends:
                return found
            after = last


def _answers(texts: Sequence[tuple[int, str]]) -> list[ResultGroup]:
    return answers_from_lines(_lines(texts))


def _lines(texts: Sequence[tuple[int, str]]) -> list[str]:
    """The lines; each ends with a space and a host's id.

    Raises:
        StoreRefused: the database cut one of the texts.
    """
    parts = [text.split("\n") for _, text in texts]
    if any(len(lines) != count or lines[-1][-37:-36] != " " for (count, _), lines in zip(texts, parts, strict=True)):
        raise StoreRefused("the database cut a text that it put together: set its max_allowed_packet to 16 MiB or more")
    return list(chain.from_iterable(parts))
