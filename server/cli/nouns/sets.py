"""Names for hosts, written @SET in selectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from server.cli import host_arguments
from server.cli.options import format_option, limit_option, with_api
from server.cli.standard_streams import say

if TYPE_CHECKING:
    from server.cli.client.api import Api

_AS_LIST = click.option(
    "--list", "as_list", is_flag=True, help="Keep the hosts that HOSTS means now, not the selector."
)


@click.command("list")
@limit_option(100)
@format_option(table=True)
@with_api
def list_sets(api: Api, limit: int | None, form: str) -> None:
    """List host sets."""
    from server.cli.render import lists
    from server.cli.render.table import Column
    from server.cli.render.text import when

    columns = (
        Column("NAME", lambda one: f"@{one['name']}"),
        Column("HOSTS", hosts_of),
        Column("VERSION", lambda one: str(one["version"])),
        Column("USED BY", lambda one: ", ".join(f"@{name}" for name in one["used_by"])),
        Column("CHANGED", lambda one: when(one["changed_at"])),
        Column("BY", lambda one: str(one["changed_by"])),
        Column("DESCRIPTION", lambda one: str(one["description"])),
    )
    lists.listing(form, api.pages("sets", {}, limit), columns, "there are no host sets", limit)


@click.command("show")
@click.argument("name", metavar="SET")
@format_option()
@with_api
def show(api: Api, name: str, form: str) -> None:
    """Show a host set and the hosts that it means now."""
    from server.cli.client.api import segment
    from server.cli.render import lists
    from server.cli.render.text import one_line, when

    name = name.removeprefix("@")
    found = api.get(f"sets/{segment(name)}")
    if form != "human":
        lists.print_object(form, found)
        return
    selection = api.post("hosts/select", {"targets": [f"@{name}"], "sample": 0})
    say(f"@{found['name']}: {one_line(hosts_of(found))}")
    if found["description"]:
        say(f"  description  {one_line(found['description'])}")
    say(f"  hosts now    {selection['count']}{', ' + selection['folded'] if selection['count'] else ''}")
    say(f"  version      {found['version']}, {when(found['changed_at'])} by {one_line(found['changed_by'])}")
    if found["used_by"]:
        say(f"  used by      {', '.join('@' + user for user in found['used_by'])}")


@click.command("create")
@click.argument("name", metavar="SET")
@click.argument("hosts", nargs=-1, required=True, metavar="HOSTS...")
@_AS_LIST
@click.option("--description", default="", metavar="TEXT", help="For people.")
@format_option()
@with_api
def create(api: Api, name: str, hosts: tuple[str, ...], as_list: bool, description: str, form: str) -> None:
    """Create a host set: every selector may then use it as @SET."""
    from server.cli.render import lists

    name = name.removeprefix("@")
    body = {"description": description} | _meaning(hosts, as_list)
    saved = api.post("sets", body | {"name": name})
    if form == "human":
        say(f"created @{name}")
    else:
        lists.print_object(form, saved)


@click.command("change")
@click.argument("name", metavar="SET")
@click.argument("hosts", nargs=-1, metavar="[HOSTS]...")
@_AS_LIST
@click.option("--description", default=None, metavar="TEXT", help="For people.")
@format_option()
@with_api
def change(api: Api, name: str, hosts: tuple[str, ...], as_list: bool, description: str | None, form: str) -> None:
    """Change the hosts or the description of a host set. Tasks that used it keep their hosts."""
    from server.cli.client.api import segment
    from server.cli.render import lists

    name = name.removeprefix("@")
    body: dict[str, object] = {} if description is None else {"description": description}
    if not hosts and (as_list or not body):
        raise click.UsageError("name the hosts, or give --description")
    if hosts:
        body |= _meaning(hosts, as_list)
    saved = api.patch(f"sets/{segment(name)}", body)
    if form == "human":
        say(f"changed @{name}")
    else:
        lists.print_object(form, saved)


@click.command("delete")
@click.argument("names", nargs=-1, required=True, metavar="SET...")
@format_option()
@with_api
def delete(api: Api, names: tuple[str, ...], form: str) -> None:
    """Delete host sets that no other set uses."""
    from server.cli.client.api import segment
    from server.cli.render import lists

    done = []
    for name in (given.removeprefix("@") for given in names):
        api.delete(f"sets/{segment(name)}")
        done.append(name)
        if form == "human":
            say(f"deleted @{name}")
        elif form == "jsonl":
            lists.json_line({"deleted": name})
    if form in ("json", "yaml"):
        lists.print_object(form, {"deleted": done})


def hosts_of(one: dict[str, Any]) -> str:
    """The selector of a set, or the number of hosts of its list."""
    if one["selector"] is not None:
        return str(one["selector"])
    count = len(one["hosts"])
    return f"{count} host{'s' if count != 1 else ''}"


def _meaning(hosts: tuple[str, ...], as_list: bool) -> dict[str, object]:
    """The field of the body that says which hosts a set means."""
    if as_list:
        return {"hosts": host_arguments.targets(hosts, "HOSTS")}
    return {"selector": host_arguments.one_selector(hosts)}
