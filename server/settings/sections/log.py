"""Settings of the server's log: section `[log]`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Struct

from server.settings.field_types import described


class Log(Struct, frozen=True, kw_only=True):
    """The server's log on standard error."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        described("Minimum level of the lines that are written."),
    ] = "info"
