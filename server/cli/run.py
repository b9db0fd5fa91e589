"""`clarion run`: create, start, wait, tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import click

from server.cli.options import answers, talks
from server.cli.spec import Targeted, described

if TYPE_CHECKING:
    from server.cli.api import Api


@click.command("run", cls=Targeted, context_settings={"allow_interspersed_args": False})
@described
@click.option("--detach", is_flag=True, help="Do not wait: print the task's id and leave.")
@click.option("-f", "--follow", is_flag=True, help="Show the output of the (first) host while it comes.")
@click.option("-q", "--quiet", is_flag=True, help="Show neither plan nor progress.")
@click.option("--plan", "only_plan", is_flag=True, help="Show which hosts are meant, and run nothing.")
@answers()
@talks
def command(api: Api, body: dict[str, Any], key: str | None, detach: bool, follow: bool, quiet: bool, only_plan: bool, form: str) -> int:
    """Run a command on hosts and wait for every answer.

    Words after -- are a program and its arguments; no shell sees them.

    \b
    clarion run all -- uname -a
    clarion run 'web* and role=db and not web[1-3]' -- uptime
    clarion run --hosts web1,web2 --shell 'df -h | tail -n +2'
    clarion run --hosts all --script check.sh -- --fast
    """
    from server.cli import emit
    from server.cli.follow import attach
    from server.cli.plan import plan, tell_plan

    if follow and (detach or form != "human"):
        raise click.UsageError("--follow is for people who wait; for others there is 'clarion tasks output -f --jsonl'")
    if only_plan:
        return tell_plan(api, body, form)
    if form == "human" and not quiet:
        plan(api, body)
    task = api.post("run", body, key=key or str(uuid4()))
    if detach:
        if form == "human":
            click.echo(task["task_id"])
            click.echo(f"started; attach to it with 'clarion attach {task['task_id']}'", err=True)
        else:
            emit.one(form, task)
        return 0
    if follow:
        from server.cli.first import follow_first

        return follow_first(api, task)
    return attach(api, task, form, quiet=quiet)
