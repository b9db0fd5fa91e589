"""Entry point of `clarion-server`: names the missing extra if Clarion was installed without the server's packages."""

from __future__ import annotations

import sys
from typing import NoReturn

from proto.common.missing_package import missing_package

CONFIG = 78
"""EX_CONFIG of sysexits.h: starting again does not help."""


def main() -> NoReturn:
    """Run `clarion-server` and exit."""
    try:
        from server.admin.main import main as run

        run()
    except ModuleNotFoundError as error:
        found = missing_package(error)
        if found is None:
            raise
        print(f"clarion-server: {found[0]}; {found[1]}", file=sys.stderr)
        sys.exit(CONFIG)
