"""Colored marks under a code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from server.cli.options import format_option, limit_option, with_api
from server.cli.standard_streams import say

if TYPE_CHECKING:
    from server.cli.client.api import Api


@click.command("list")
@limit_option(100)
@format_option(table=True)
@with_api
def list_badges(api: Api, limit: int | None, form: str) -> None:
    """List badges."""
    from server.cli.render import lists
    from server.cli.render.table import Column

    columns = (Column("CODE", lambda one: str(one["code"])), Column("COLOR", lambda one: str(one["color"])))
    lists.listing(form, api.pages("badges", {}, limit), columns, "there are no badges", limit)


@click.command("create")
@click.argument("code")
@click.option("--color")
@format_option()
@with_api
def create(api: Api, code: str, color: str | None, form: str) -> None:
    """Create a badge."""
    api.post("badges", {"code": code, "color": color})
    say(f"created {code}")


@click.command("delete")
@click.argument("code")
@format_option()
@with_api
def delete(api: Api, code: str, form: str) -> None:
    """Delete a badge."""
    api.delete(f"badges/{code}")
    say(f"deleted {code}")
