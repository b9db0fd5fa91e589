"""`clarion join-token create`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from proto.common import duration
from server.cli.options import format_option, with_api
from server.cli.param_types import Whole
from server.cli.standard_streams import say

if TYPE_CHECKING:
    from server.cli.client.api import Api


@click.command("create")
@click.option(
    "--ttl",
    default="30m",
    show_default=True,
    metavar="TIME",
    help="How long the token is valid: seconds, or a number with s, m, h or d.",
)
@click.option(
    "--uses", default=1, show_default=True, type=Whole(1), metavar="N", help="How many hosts may join with the token."
)
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="KEY=VALUE",
    help="A label for every host that joins with the token. May be repeated.",
)
@click.option(
    "--network",
    "networks",
    multiple=True,
    metavar="CIDR",
    help="Hosts may join only from these addresses, e.g. 10.1.0.0/16. May be repeated.",
)
@click.option(
    "--replace",
    is_flag=True,
    help=(
        "A host that joins with this token replaces the offline hosts that have its name. Use it for reinstalled "
        "machines."
    ),
)
@click.option("--approve", is_flag=True, help="Each join waits for 'clarion join approve'.")
@format_option()
@with_api
def command(
    api: Api,
    ttl: str,
    uses: int,
    labels: tuple[str, ...],
    networks: tuple[str, ...],
    approve: bool,
    replace: bool,
    form: str,
) -> None:
    """Create a join token. It is shown only this once, alone on standard output, so that it can be piped."""
    from server.cli.render import lists
    from server.cli.render.text import when

    made = api.post(
        "join-tokens",
        {
            "ttl": seconds(ttl),
            "uses": uses,
            "labels": pairs(labels),
            "networks": list(networks),
            "approve": approve,
            **({"replace": True} if replace else {}),
        },
    )
    if form != "human":
        lists.print_object(form, made)
        return
    say(made["token"])
    say(
        f"good for {made['uses_left']} host{'s' if made['uses_left'] != 1 else ''} until {when(made['expires_at'])}",
        err=True,
    )
    if made["ca_pin"]:
        say(
            (
                f"on the host: clarion-agent join --server HOST:{made['enrol_port']} --token-file - --ca-pin "
                f"{made['ca_pin']}"
            ),
            err=True,
        )


def seconds(text: str) -> float:
    """Parse 90, 30m, 12h or 7d. Raises click.UsageError."""
    try:
        return duration.parse_whole(text)
    except ValueError:
        raise click.UsageError(f"--ttl: {text!r} must be a number of seconds, or a number with s, m, h or d") from None


def pairs(labels: tuple[str, ...]) -> dict[str, str]:
    """Parse KEY=VALUE texts. Raises click.UsageError."""
    found = {}
    for text in labels:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise click.UsageError(f"--label: {text!r} must be KEY=VALUE")
        found[key] = value
    return found
