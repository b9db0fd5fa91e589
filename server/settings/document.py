"""docs/reference/configuration.md, drawn from the settings themselves: `python -m server.settings.document >
docs/reference/configuration.md`."""

from __future__ import annotations

import sys

from server.settings.renamed import current_names
from server.settings.schema import Settings
from server.settings.table import Row, plain, rows, sections

_HEAD = """# Configuration

Everything below has a default; a server needs no configuration file. A value comes from the last of these that gives it:

1. the default;
2. the file: `--config FILE`, else the file that `CLARION_CONFIG` names, else `server.toml` in the data directory;
3. the environment: the variable in the table;
4. a flag: `--set section.key=value` (repeatable), or `--data`, `--http-port`, `--agent-port`.

`clarion-server config check` reports everything that is wrong at once and exits 78 if anything is; `clarion-server config show`
prints every value and where it came from. A key that does not exist is an error, with a suggestion. Sizes are bytes, times are
seconds unless the name says otherwise, and relative paths start in the directory in which the server was started. No setting
holds a secret: passwords and tokens stay in files that settings point to.

A file looks like this:

```toml
data = "/var/lib/clarion"

[http]
port = 8440

[store]
kind = "mysql"
host = "db.example.org"
user = "clarion"
password_file = "/etc/clarion/mysql.password"
database = "clarion"
tls = "verify"
```
"""  # noqa: E501

_TAIL = """
## Between settings

- `http.host` must be loopback in this release; so must `agent_port.host` with `agent_port.insecure_loopback`. `http.port`,
  `agent_port.port` and `enrol.port` must differ.
- `store.kind = "mysql"` needs `store.database`, `store.user` and either `store.host` or `store.socket`. Settings of the kind that
  is not chosen are errors, so that a server does not run on SQLite while MySQL is meant.
- `store.tls` needs `store.host`; `store.tls_ca` needs `store.tls = "verify"`.
- `writer.low_water` < `writer.high_water`; `writer.max_rows` ≤ `writer.high_water`.
- The largest request that `limits` allow must fit into `http.max_body`: standard input as base64, command, parameters and environment, list of hosts.
- A limit that was set must not lie above one within which it lies, such as `limits.in_flight_per_task` above `limits.in_flight`: it could never be reached.
- The largest command that `limits` allow must fit into `agent_port.max_message`, which must fit into `agent_port.outbox_bytes`.
- `liveness.heartbeat_timeout` > twice `liveness.heartbeat`; `liveness.lost_after` ≥ `liveness.heartbeat_timeout`; `liveness.drain_min` ≤ `liveness.drain_max`.
"""  # noqa: E501

_RENAMED = """
## Old names

The server still accepts the old names in files, in the environment and in flags, and writes a warning for each. It refuses a file or
an environment that sets both names.

| Old name | New name |
|---|---|
"""  # noqa: E501

_COLUMNS = "| Key | Default | Allowed | Environment | Meaning |\n|---|---|---|---|---|\n"


def render() -> str:
    """The whole page."""
    parts = [_HEAD, "\n## Top level\n\n", _table("")]
    for section in sections():
        parts.append(f"\n## [{section}]\n\n{getattr(Settings(), section).__doc__}\n\n{_table(section)}")
    return "".join([*parts, _TAIL, _RENAMED, *(f"| `{old}` | `{new}` |\n" for old, new in current_names().items())])


def _table(section: str) -> str:
    return _COLUMNS + "".join(_line(row) for row in rows().values() if row.section == section)


def _line(row: Row) -> str:
    default = f"`{plain(row.default)}`" if row.default is not None else "none"
    return f"| `{row.key}` | {default} | {row.allowed} | `{row.variable}` | {row.meaning} |\n"


if __name__ == "__main__":
    sys.stdout.write(render())
