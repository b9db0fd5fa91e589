"""Prints output for `clarion logs`."""

from __future__ import annotations

from server.cli.client.api import Api, Json, segment
from server.cli.client.outputs import Outputs
from server.cli.follow.output import follow_text
from server.cli.follow.output_pieces import Piece, Position, stored
from server.cli.follow.stream import HostLines, stream
from server.cli.render.exit_codes import ENDED, ended
from server.cli.render.text import count
from server.cli.standard_streams import say


def print_host(api: Api, task_id: str, host: str, *, follow: bool, raw: bool) -> int:
    """Print the output of one host."""
    if follow:
        follow_text(api, task_id, host)
        return 0
    row = api.get(f"tasks/{segment(task_id)}/hosts/{segment(host)}")
    lines = HostLines(api, task_id, quiet=True, prefixed=False)
    if row["status"] not in ENDED:
        say(f"{host} has not ended; -f shows its output while it is written", err=True)
        return 0
    if raw:
        for part in stored(Outputs(api, task_id), row, Position()):
            if isinstance(part, Piece):
                say(part.data, nl=False, err=part.stream == "stderr")
        return 0
    lines.looked([row], [])
    return 0


def print_hosts(api: Api, task: Json, *, follow: bool) -> int:
    """Print the output of all hosts, each line with the name of its host."""
    task_id = str(task["task_id"])
    if follow:
        stream(api, task, quiet=True)
        return 0
    lines = HostLines(api, task_id, quiet=True)
    for page in api.pages(f"tasks/{segment(task_id)}/hosts", {}):
        lines.looked([row for row in page if row["status"] in ENDED], [])
    if (left := int(task["total_hosts"]) - ended(task)) > 0:
        say(f"{count(left, 'host')} not ended; -f shows their output while it is written", err=True)
    return 0
