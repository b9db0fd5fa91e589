"""Draws docs/reference/configuration.md from the settings; docs/generate.py calls it."""

from __future__ import annotations

import inspect

from server.settings.renamed import current_names
from server.settings.schema import Settings
from server.settings.table import Row, plain, rows, sections

_HEAD = """# Configuration

Every setting has a default, so a server needs no configuration file. Of these sources, the last one that sets a value
wins:

1. the default;
2. the configuration file: `--config FILE`, else the file that `CLARION_CONFIG` names, else `server.toml` in the data
directory;
3. the environment variable in the table;
4. a flag: `--set section.key=value` (repeatable), `--data`, `--http-port`, `--agent-port` or `--enrol-port`.

`clarion-server config check` reports all errors at once and exits with 78 if there is one. `clarion-server config
show` prints
every value and its source. An unknown key is an error, with a suggestion. Sizes are in bytes and times in seconds
unless the name
says otherwise. Relative paths start at the working directory of the server. No setting holds a secret: settings name
the files
that hold passwords and tokens.

Example of a configuration file:

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
"""

_TAIL = """
## Rules between settings

- `http.host` must be a loopback address in this release. So must `agent_port.host` with `agent_port.insecure_loopback`.
- `http.port`, `agent_port.port` and `enrol.port` must differ.
- `store.kind = "mysql"` needs `store.database`, `store.user` and either `store.host` or `store.socket`. A setting of
the other kind
  is an error, so that a server does not run on SQLite by mistake.
- `store.tls` needs `store.host`; `store.tls_ca` needs `store.tls = "verify"`.
- `writer.low_water` < `writer.high_water`; `writer.max_rows` ≤ `writer.high_water`.
- The largest request that `limits` allow must fit into `http.max_body`: standard input as base64, command, parameters
and environment, list of hosts.
- A limit that you set must not exceed a wider limit that contains it, because it could never be reached. Example:
`limits.in_flight_per_task` and `limits.in_flight`.
- The largest command that `limits` allow must fit into `agent_port.max_message`. That must fit into
`agent_port.outbox_bytes`.
- `liveness.heartbeat_timeout` > twice `liveness.heartbeat`; `liveness.lost_after` ≥ `liveness.heartbeat_timeout`;
`liveness.drain_min` ≤ `liveness.drain_max`.
"""

_RENAMED = """
## Old names

The server still accepts the old names in files, environment variables and flags. It writes a warning for each. It
refuses a file or
an environment that sets both the old and the new name.

| Old name | New name |
|---|---|
"""

_COLUMNS = "| Key | Default | Allowed | Environment | Meaning |\n|---|---|---|---|---|\n"


def render() -> str:
    """Return the whole page."""
    parts = [_HEAD, "\n## Top level\n\n", _table("")]
    for section in sections():
        about = inspect.getdoc(type(getattr(Settings(), section)))
        parts.append(f"\n## [{section}]\n\n{about}\n\n{_table(section)}")
    return "".join([*parts, _TAIL, _RENAMED, *(f"| `{old}` | `{new}` |\n" for old, new in current_names().items())])


def _table(section: str) -> str:
    return _COLUMNS + "".join(_line(row) for row in rows().values() if row.section == section)


def _line(row: Row) -> str:
    default = f"`{plain(row.default)}`" if row.default is not None else "none"
    return f"| `{row.key}` | {default} | {row.allowed} | `{row.variable}` | {row.meaning} |\n"
