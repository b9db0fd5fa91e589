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
    """Completes the first word with tasks and the second with hosts."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return (
            completion.hosts(ctx, param, incomplete)
            if ctx.params.get("words")
            else super().shell_complete(ctx, param, incomplete)
        )


@click.command("logs")
@click.argument("words", type=_TaskOrHost(), nargs=-1, metavar="[TASK] [HOST]")
@click.option("-f", "--follow", is_flag=True, help="Print output while it is written, until every host has ended.")
@click.option(
    "--raw", is_flag=True, help="With a HOST that has ended: print the exact bytes, including escape sequences."
)
@with_api
def command(api: Api, words: tuple[str, ...], follow: bool, raw: bool) -> int:
    """Print the output of a task's hosts as 'host: line', or the output of HOST. Default: the last task.

    Standard error of the commands goes to standard error. Without --follow only hosts that have ended are printed.
    """
    from server.cli.client.api import segment
    from server.cli.follow import logs
    from server.cli.task_ids import may_be_task, resolve_task

    if len(words) > 2:
        raise click.UsageError("give at most one task and one host: clarion logs [TASK] [HOST]")
    if len(words) == 1 and not may_be_task(words[0]):
        words = ("last", words[0])
    host = words[1] if len(words) == 2 else None
    if raw and (host is None or follow):
        raise click.UsageError("--raw needs a HOST and excludes --follow; see 'clarion tasks output -f --raw'")
    task_id = resolve_task(api, words[0] if words else "last")
    if host is not None:
        return logs.print_host(api, task_id, host, follow=follow, raw=raw)
    return logs.print_hosts(api, api.get(f"tasks/{segment(task_id)}"), follow=follow)
