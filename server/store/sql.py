"""Reads the named queries of queries/*.sql for one dialect.

A file is a row of `-- name: xyz`, one line with the purpose, and the statement. Parameters are `:name`. Words in braces
keep any list of columns from being written twice:

    {columns task}   task_id, name, …                {selected task}  task.task_id, task.name, …
    {values task}    :task_id, :name, …              {sets task}      name = :name, …      the mutable columns
    {excluded host}  hostname = excluded.hostname, … {renewed host}   hostname = VALUES(hostname), …
    {index by_name}  the dialect's way to insist on an index
    {join in_order}  a join that reads its left side first
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from server.store.tables.registry import WORDS

_NAME = re.compile(r"^-- name: (\w+)\n(?:--.*\n)+", re.MULTILINE)
_WORD = re.compile(r"\{(\w+) (\w+)\}")
_PARAMETER = re.compile(r"(?<![:\w]):([a-z]\w*)")


@dataclass(frozen=True, slots=True)
class Dialect:
    """Differences between the databases in a query.

    Attributes:
        name: sqlite or mysql.
        index: insists on an index, so that plans do not depend on statistics.
        in_order: a join with a fixed order.
        matches: compares a text with a pattern, upper and lower case apart.
    """

    name: str
    index: str
    in_order: str
    matches: str

    def load(self, *names: str) -> dict[str, str]:
        """The statements of queries/<name>.sql by their names.

        Raises:
            ValueError: a statement is there twice or malformed.
        """
        found: dict[str, str] = {}
        for name in names:
            text = files("server.store").joinpath("queries", f"{name}.sql").read_text(encoding="utf-8")
            _, *pieces = _NAME.split(text)
            for query, body in zip(pieces[::2], pieces[1::2], strict=True):
                if query in found:
                    raise ValueError(f"{name}.sql: {query} is there twice")
                found[query] = self.expand(body.strip().removesuffix(";"))
        return found

    def expand(self, text: str) -> str:
        """Replace the words in braces.

        Raises:
            KeyError: a word is unknown.
        """
        return _WORD.sub(self._word, text)

    def like(self, text: str, pattern: str) -> str:
        """A condition: an SQL expression matches what `pattern` returned."""
        return self.matches.format(text, pattern)

    def pattern(self, glob: str) -> str:
        """A pattern with * and ? in the dialect's own syntax."""
        if self.name == "sqlite":
            return glob.replace("[", "[[]")
        escaped = "".join(f"|{char}" if char in "%_|" else char for char in glob)
        return escaped.replace("*", "%").replace("?", "_")

    def _word(self, match: re.Match[str]) -> str:
        word, what = match.groups()
        if word == "index":
            return self.index.format(what)
        if word == "join":
            return self.in_order
        table = WORDS[what]
        shape, columns = {
            "columns": ("{0}", table.names),
            "selected": (table.name + ".{0}", table.names),
            "values": (":{0}", table.names),
            "sets": ("{0} = :{0}", table.mutable),
            "excluded": ("{0} = excluded.{0}", table.mutable),
            "renewed": ("{0} = VALUES({0})", table.mutable),
        }[word]
        return ", ".join(shape.format(column) for column in columns)


SQLITE = Dialect("sqlite", "INDEXED BY {}", "CROSS JOIN", "{} GLOB {}")
MYSQL = Dialect("mysql", "FORCE INDEX ({})", "STRAIGHT_JOIN", "{} LIKE {} ESCAPE '|'")


def numbered(text: str, columns: tuple[str, ...]) -> str:
    """Replace each `:name` by `?n`, its place in `columns`; SQLite binds tuples faster than mappings."""
    return _PARAMETER.sub(lambda match: f"?{columns.index(match.group(1)) + 1}", text)


@lru_cache(maxsize=512)
def formatted(text: str) -> str:
    """Replace each `:name` by `%(name)s` and double percent signs, for Python's % with a mapping of SQL literals."""
    return _PARAMETER.sub(r"%(\1)s", text.replace("%", "%%"))
