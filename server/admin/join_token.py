"""`clarion-server join-token`: creates join tokens without the API."""

from __future__ import annotations

import click

from proto.common import duration
from proto.readable import hidden
from server.admin.failures import known_errors
from server.admin.options import settings_options
from server.security import approval
from server.settings.schema import Loaded

TTL_MIN = 10
"""Seconds."""
TTL_MAX = 30 * 86_400
"""Seconds."""
LABEL_CHARS = 320


@click.group("join-token")
def join_token() -> None:
    """Create join tokens without the API: for the first host, or while the server is stopped."""


@join_token.command("create")
@click.option(
    "--ttl",
    default="30m",
    show_default=True,
    metavar="TIME",
    help="How long the token is valid: seconds, or a number with s, m, h or d.",
)
@click.option(
    "--uses",
    default=1,
    show_default=True,
    type=click.IntRange(1, 100_000),
    metavar="N",
    help="How many hosts may join with the token.",
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
@click.option("--approve", is_flag=True, help="Each join waits for 'clarion join approve'.")
@settings_options
def create(
    loaded: Loaded, ttl: str, uses: int, labels: tuple[str, ...], networks: tuple[str, ...], approve: bool
) -> None:
    """Create a join token and print it. It is shown only this once."""
    from server.admin import offline

    try:
        seconds = _ttl(ttl)
        pairs = _labels(labels)
        blocks = _networks(networks)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    with known_errors(loaded.settings):
        text = offline.create_join_token(loaded.settings, seconds, uses, pairs, blocks, approve)
    click.echo(text)


def _ttl(text: str) -> int:
    """Return seconds. Raises ValueError."""
    try:
        seconds = int(duration.parse_whole(text))
    except ValueError:
        seconds = 0
    if not TTL_MIN <= seconds <= TTL_MAX:
        raise ValueError(f"--ttl: {text!r} must be a time from 10s to 30d, such as 30m")
    return seconds


def _labels(texts: tuple[str, ...]) -> dict[str, str]:
    """Parse KEY=VALUE texts. Raises ValueError."""
    labels = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key or len(text) > LABEL_CHARS or hidden(text) is not None:
            raise ValueError(f"--label: {text[:80]!r} must be KEY=VALUE")
        labels[key] = value
    return labels


def _networks(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Raises ValueError."""
    try:
        return approval.networks(texts)
    except ValueError as error:
        raise ValueError(f"--network: {error}") from None
