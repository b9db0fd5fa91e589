"""All settings of the server, by section.

Each section is one file in `server.settings.sections`, with type, default, limits and description of every setting.
`server.settings.load` fills them from file, environment and flags. Sizes are bytes and times are seconds unless the
name says otherwise (`_ms`, `_chars`, `_per_minute`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from msgspec import Struct

from server.settings.field_types import described
from server.settings.sections.agent_port import AgentPort
from server.settings.sections.backup import Backup
from server.settings.sections.enrol import Enrol
from server.settings.sections.guard import Guard
from server.settings.sections.http import Http
from server.settings.sections.limits import Limits
from server.settings.sections.liveness import Liveness
from server.settings.sections.log import Log
from server.settings.sections.store import Store
from server.settings.sections.writer import Writer

FROM_FILE = "file "
"""Begins the source of a setting that comes from a file; its path follows."""


class Settings(Struct, frozen=True, kw_only=True):
    """All settings. The field names are the TOML sections; `data` stands at the top level."""

    data: Annotated[Path, described("The server's data directory: tokens, the SQLite database, `server.toml`.")] = Path(
        "data"
    )
    http: Http = Http()
    agent_port: AgentPort = AgentPort()
    guard: Guard = Guard()
    enrol: Enrol = Enrol()
    store: Store = Store()
    backup: Backup = Backup()
    writer: Writer = Writer()
    limits: Limits = Limits()
    liveness: Liveness = Liveness()
    log: Log = Log()

    @property
    def admin_token(self) -> Path:
        """File of the administrator's API token."""
        return self.data / "admin.token"

    @property
    def metrics_token(self) -> Path:
        """File of the token that can read only metrics, health and the API description."""
        return self.data / "metrics.token"

    @property
    def join_token(self) -> Path:
        """File of the shared agent token; used only with `agent_port.insecure_loopback`."""
        return self.data / "join.token"

    @property
    def database_file(self) -> Path:
        """The SQLite file: `store.path`, or clarion.db in the data directory."""
        return self.store.path or self.data / "clarion.db"

    @property
    def backup_directory(self) -> Path:
        """Where backups are written: `backup.directory`, or backups in the data directory."""
        return self.backup.directory or self.data / "backups"


class Loaded(Struct, frozen=True, kw_only=True):
    """Settings and their origin.

    Attributes:
        settings: The settings.
        sources: Dotted key to `default`, `file PATH`, `environment NAME` or `flag NAME`.
        warnings: One sentence for each old name that was used.
        again: Loads the settings again from the same sources; None in tests.
    """

    settings: Settings
    sources: dict[str, str]
    warnings: tuple[str, ...] = ()
    again: Callable[[], Loaded] | None = None

    @property
    def file(self) -> Path | None:
        """The configuration file that at least one setting comes from; None without one."""
        found = [source for source in self.sources.values() if source.startswith(FROM_FILE)]
        return Path(found[0].removeprefix(FROM_FILE)) if found else None
