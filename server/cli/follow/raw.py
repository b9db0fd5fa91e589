"""`--raw`: prints the exact bytes of the command on one host while it writes them, each stream to its own "
"descriptor."""

from __future__ import annotations

from server.cli import interrupt
from server.cli.client import started
from server.cli.client.api import Api, Json, segment
from server.cli.client.errors import CliFailure
from server.cli.client.outputs import Outputs
from server.cli.client.reconnect import retry_while_down
from server.cli.follow.output_pieces import Attempt, LiveFull, Missing, Piece, Position, live, stored
from server.cli.follow.task import cancel_or_detach, wait
from server.cli.render.exit_codes import exit_code
from server.cli.render.text import count
from server.cli.standard_streams import say
from server.errors import UNTOLD


def raw(api: Api, task: Json) -> int:
    """Print the command's bytes, and nothing else, to standard output. Returns the exit code of the task."""
    task_id = str(task["task_id"])
    started.task(task_id, ours=False)
    path = f"tasks/{segment(task_id)}/hosts"
    place = Position()
    while True:
        try:
            host_id = str(retry_while_down(lambda: api.get(path, {"limit": 1}), None, task_id)["items"][0]["host_id"])
            _parts(api, task_id, host_id, place)
            wait(api, task_id, quiet=True)
            return exit_code(retry_while_down(lambda: api.get(f"tasks/{segment(task_id)}"), None, task_id))
        except KeyboardInterrupt:
            if not cancel_or_detach(api, task_id):
                return interrupt.exit_code()


def _parts(api: Api, task_id: str, host_id: str, place: Position) -> None:
    try:
        for part in live(api, task_id, host_id, place):
            if isinstance(part, dict):
                return
            _write(part)
    except LiveFull:
        wait(api, task_id, quiet=True)
    row: Json = retry_while_down(lambda: api.get(f"tasks/{segment(task_id)}/hosts/{segment(host_id)}"), None, task_id)
    for part in stored(Outputs(api, task_id), row, place):
        _write(part)


def _write(part: Piece | Missing | Attempt) -> None:
    if isinstance(part, Attempt):
        raise CliFailure(
            UNTOLD,
            f"the host is retried (attempt {part.number}), but the printed output is of the previous attempt",
            "read the output with 'clarion tasks output --raw'",
        )
    if isinstance(part, Missing):
        say(f"{count(part.number, 'byte')} of {part.total:,} of {part.stream} not kept", err=True)
        return
    say(part.data, err=part.stream == "stderr", nl=False)
