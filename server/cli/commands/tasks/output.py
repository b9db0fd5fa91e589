"""`clarion tasks output`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from server.cli import completion
from server.cli.options import format_option, with_api
from server.cli.standard_streams import say
from server.cli.task_ids import task_argument

if TYPE_CHECKING:
    from server.cli.client.api import Api


@click.command("output")
@task_argument()
@click.argument("host", shell_complete=completion.hosts)
@click.option("--stream", type=click.Choice(["stdout", "stderr"]), default="stdout", show_default=True)
@click.option("--raw", is_flag=True, help="Print the exact bytes, including escape sequences.")
@click.option(
    "-f",
    "--follow",
    is_flag=True,
    help="Print both streams while they are written; with --raw only --stream, with --jsonl every event.",
)
@format_option()
@with_api
def command(api: Api, task_id: str, host: str, stream: str, raw: bool, follow: bool, form: str) -> None:
    """Print the output of a command on one host.

    Escape sequences are removed unless --raw is given. A line marks a part that is not stored.
    """
    from server.cli.client.outputs import Outputs
    from server.cli.render import lists
    from server.cli.render.result_groups import readable
    from server.cli.render.text import count

    if raw and form != "human":
        raise click.UsageError("--raw and --json exclude each other; JSON holds the exact bytes as base64")
    if follow:
        from server.cli.follow import output

        if form in ("json", "yaml"):
            raise click.UsageError("--follow cannot print one JSON document; use --jsonl")
        if form == "jsonl":
            output.follow_lines(api, task_id, host, lists.json_line)
        elif raw:
            output.follow_raw(api, task_id, host, stream)
        else:
            output.follow_text(api, task_id, host)
        return
    kept = Outputs(api, task_id).fetch(host, stream)
    if form != "human":
        lists.print_object(form, {"task_id": task_id, "host": host, "stream": stream, **kept.as_json()})
    elif raw:
        say(kept.head + kept.tail, nl=False)
        if kept.truncated:
            say(
                f"{count(kept.dropped, 'byte')} of {kept.total_bytes:,} not kept, after the first {len(kept.head):,}",
                err=True,
            )
    else:
        for text in readable(kept):
            say(text)
