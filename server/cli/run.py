"""`clarion run`: create, start, wait, tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import click

from server.cli.options import answers, talks
from server.cli.spec import described

if TYPE_CHECKING:
    from server.cli.api import Api


@click.command("run", context_settings={"allow_interspersed_args": False})
@described
@click.option("--detach", is_flag=True, help="Do not wait: print the task's id and leave.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@answers()
@talks
def command(api: Api, body: dict[str, Any], key: str | None, detach: bool, quiet: bool, form: str) -> int:
    """Run a command on hosts and wait for every answer.

    Words after -- are a program and its arguments; no shell sees them.

    \b
    clarion run --hosts all -- uname -a
    clarion run --hosts web1,web2 --shell 'df -h | tail -n +2'
    clarion run --hosts all --script check.sh -- --fast
    """
    from server.cli import emit
    from server.cli.follow import attach

    task = api.post("run", body, key=key or str(uuid4()))
    if detach:
        if form == "human":
            click.echo(task["task_id"])
            click.echo(f"started; attach to it with 'clarion tasks show {task['task_id']} --wait'", err=True)
        else:
            emit.one(form, task)
        return 0
    return attach(api, task, form, quiet=quiet)
