"""`clarion run`: create, start, wait, tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import click

from server.cli import stdin_argument
from server.cli.options import format_option, with_api
from server.cli.standard_streams import say
from server.cli.task_options import Targeted, task_options

if TYPE_CHECKING:
    from server.cli.client.api import Api, Json


@click.command("run", cls=Targeted, context_settings={"allow_interspersed_args": False})
@task_options
@click.option("-d", "--detach", is_flag=True, help="Do not wait: print the task's id and exit.")
@click.option("-f", "--follow", is_flag=True, help="Show the output of the first host while it is written.")
@click.option("--stream", is_flag=True, help="Show every line of every host while it is written, as 'host: line'.")
@click.option(
    "--raw",
    is_flag=True,
    help="One host: print only the exact bytes that the command writes. The same as -o text.",
)
@click.option(
    "-S",
    "--exit-code",
    "own_code",
    is_flag=True,
    help="One host: exit with the command's exit code, with 128 + N after signal N, or with 255 without an exit code.",
)
@click.option("-q", "--quiet", is_flag=True, help="Write only errors to standard error: no plan, progress or summary.")
@click.option("--plan", "only_plan", is_flag=True, help="Show which hosts match, and run nothing.")
@format_option(text=True)
@with_api
def command(
    api: Api,
    body: dict[str, Any],
    key: str | None,
    detach: bool,
    follow: bool,
    stream: bool,
    raw: bool,
    own_code: bool,
    quiet: bool,
    only_plan: bool,
    form: str,
) -> int:
    """Run a command on hosts and wait for all results.

    Words after -- are a program and its arguments; no shell interprets them. Results are shown as hosts end.

    \b
    clarion run all -- uname -a
    clarion run 'web* and role=db and not web[1-3]' -- uptime
    clarion run --hosts web1,web2 --shell 'df -h | tail -n +2'
    clarion run --hosts @hosts.txt --script check.sh -- --fast
    clarion run --stream all -- tail -n 5 -f /var/log/syslog
    """
    from server.cli.render import lists
    from server.cli.render.preview import plan, print_plan

    _check(form, detach=detach, follow=follow, stream=stream, raw=raw, own_code=own_code)
    if only_plan:
        return print_plan(api, body, form)
    raw = raw or form == "text"
    if raw or own_code:
        _one_host(plan(api, body, quiet=quiet or raw or form != "human"), "--exit-code" if own_code else "--raw")
    elif form == "human" and not quiet:
        plan(api, body)
    task = api.launch("run", body, key or str(uuid4()))
    if detach:
        if form == "human":
            say(task["task_id"])
            if not quiet:
                say(
                    f"started: {api.page(task['task_id'])}; attach to it with 'clarion attach {task['task_id']}'",
                    err=True,
                )
        else:
            lists.print_object(form, task)
        return 0
    return _wait(api, task, form, follow=follow, stream=stream, raw=raw, own_code=own_code, quiet=quiet)


def _check(form: str, *, detach: bool, follow: bool, stream: bool, raw: bool, own_code: bool) -> None:
    """Raise click.UsageError for options that contradict each other."""
    given = [
        name
        for name, chosen in (("--follow", follow), ("--stream", stream), ("--raw", raw or form == "text"))
        if chosen
    ]
    if len(given) > 1:
        raise click.UsageError(f"{given[0]} and {given[1]} exclude each other")
    if given and (detach or form not in ("human", "text")):
        raise click.UsageError(f"{given[0]} prints text and waits; for programs use 'clarion tasks output -f --jsonl'")
    if own_code and detach:
        raise click.UsageError("--exit-code and --detach exclude each other")


def _one_host(found: Json, option: str) -> None:
    if found["count"] > 1:
        raise click.UsageError(f"{option} is for one host, and these are {found['count']:,}")


def _wait(
    api: Api, task: Json, form: str, *, follow: bool, stream: bool, raw: bool, own_code: bool, quiet: bool
) -> int:
    from server.cli.follow.task import announce, attach

    if not quiet and (follow or stream):
        announce(api, str(task["task_id"]))
    if raw:
        from server.cli.follow.raw import raw as write_raw

        code = write_raw(api, task)
    elif follow:
        from server.cli.follow.first_host import follow_first

        code = follow_first(api, task)
    elif stream:
        from server.cli.follow.stream import stream as print_lines

        code = print_lines(api, task, quiet=quiet)
    else:
        code = attach(api, task, form, quiet=quiet)
    stdin_argument.warn()
    if own_code:
        from server.cli.render.exit_codes import own_exit_code

        return own_exit_code(api, str(task["task_id"]), code)
    return code
