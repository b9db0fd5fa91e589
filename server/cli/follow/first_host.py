"""`clarion run -f`: prints the first host's output while it is written, then the end of the task."""

from __future__ import annotations

from server.cli import interrupt
from server.cli.client.api import Api, Json, segment
from server.cli.follow.output import follow_text
from server.cli.follow.task import attach, cancel_or_detach, wait
from server.cli.render.exit_codes import exit_code
from server.cli.render.text import one_line
from server.cli.standard_streams import say


def follow_first(api: Api, task: Json) -> int:
    """Print the output and return the exit code of the task.

    With one host nothing is printed twice. With several, all results are printed at the end, also after Ctrl-C and a
    cancellation. Ctrl-C asks as in `attach`.
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
        if not cancel_or_detach(api, task_id):
            return interrupt.exit_code()
    return attach(api, task, "human")
