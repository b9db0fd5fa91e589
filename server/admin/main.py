"""The `clarion-server` command; each of its commands is one module of this package."""

from __future__ import annotations

from typing import NoReturn

import click

from server.admin.backup import backup
from server.admin.ca import authority
from server.admin.config import config
from server.admin.doctor import doctor
from server.admin.group import ServerGroup
from server.admin.init import init
from server.admin.join_token import join_token
from server.admin.restore import restore
from server.admin.run import run
from server.admin.version import version


@click.group(cls=ServerGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="clarion", prog_name="clarion-server", message="%(prog)s %(version)s")
def cli() -> None:
    """The Clarion server: accepts tasks over REST and sends their commands to agents over gRPC."""


for command in (init, run, config, backup, restore, doctor, join_token, authority, version):
    cli.add_command(command)


def main() -> NoReturn:
    """Run the command line and exit."""
    cli.main(prog_name="clarion-server")
    raise AssertionError("click returned")


if __name__ == "__main__":
    main()
