"""`clarion run -f`: the first host's output while it comes, then the task's end."""

from __future__ import annotations

from server.cli import interrupt
from server.cli.client.api import Api, Json, segment
from server.cli.follow.output import follow_text
from server.cli.follow.task import attach, cancels, wait
from server.cli.render.exit_codes import exit_code
from server.cli.render.text import one_line
from server.cli.standard_streams import say


def follow_first(api: Api, task: Json) -> int:
    """The exit code of the task. With one host nothing is printed twice; with several, what all said comes at the end
    as always.

    Ctrl-C asks as `attach` does; of a task that is canceled then, what all said comes too.
    """
    task_id = str(task["task_id"])
    try:
        first = api.get(f"tasks/{segment(task_id)}/hosts", {"limit": 1})["items"][0]
        if task["total_hosts"] > 1:
            say(f"following {one_line(str(first['hostname']))}, one of {task['total_hosts']:,} hosts", err=True)
        follow_text(api, task_id, str(first["host_id"]))
        if task["total_hosts"] == 1:
            wait(api, task_id, quiet=True)
            return exit_code(api.get(f"tasks/{segment(task_id)}"))
    except KeyboardInterrupt:
        if not cancels(api, task_id):
            return interrupt.exit_code()
    return attach(api, task, "human")
