"""`clarion logs`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from server.cli import completion
from server.cli.options import with_api
from server.cli.task_ids import TaskId

if TYPE_CHECKING:
    from server.cli.client.api import Api


class _TaskOrHost(TaskId):
    """The first word is completed with tasks, the second with hosts."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return (
            completion.hosts(ctx, param, incomplete)
            if ctx.params.get("words")
            else super().shell_complete(ctx, param, incomplete)
        )


@click.command("logs")
@click.argument("words", type=_TaskOrHost(), nargs=-1, metavar="[TASK] [HOST]")
@click.option("-f", "--follow", is_flag=True, help="Until every host has ended, while it is written.")
@click.option("--raw", is_flag=True, help="With a HOST that has ended: exactly the bytes, escape sequences included.")
@with_api
def command(api: Api, words: tuple[str, ...], follow: bool, raw: bool) -> int:
    """Print what a task's hosts wrote, as 'host: line'; with HOST, what that one wrote. Without TASK, of the last task.

    What commands wrote to standard error goes to standard error. Without --follow it is the output of the hosts that
    have ended.
    """
    from server.cli.client.api import segment
    from server.cli.follow import logs
    from server.cli.task_ids import find, may_be_task

    if len(words) > 2:
        raise click.UsageError("one task and one host at a time: clarion logs [TASK] [HOST]")
    if len(words) == 1 and not may_be_task(words[0]):
        words = ("last", words[0])
    host = words[1] if len(words) == 2 else None
    if raw and (host is None or follow):
        raise click.UsageError("--raw needs a HOST and goes without --follow; see 'clarion tasks output -f --raw'")
    task_id = find(api, words[0] if words else "last")
    if host is not None:
        return logs.one(api, task_id, host, follow=follow, raw=raw)
    return logs.every(api, api.get(f"tasks/{segment(task_id)}"), follow=follow)
