"""Shows the command and its hosts before it runs."""

from __future__ import annotations

import shlex

from server.cli.client.api import Api, Json
from server.cli.render import lists
from server.cli.render.text import count, one_line
from server.cli.standard_streams import say
from server.errors import USAGE

COMMAND_CHARS = 100


def plan(api: Api, body: Json, *, quiet: bool = False) -> Json:
    """Print `10,000 hosts (12 offline) · uname -a` and warnings to standard error. Returns the server's preview."""
    found = api.post("hosts/select", {"targets": body["targets"], "sample": 0})
    if quiet or found["refused"]:
        # The server will refuse the request with a reason.
        return found
    offline = f" ({found['offline']:,} offline)" if found["offline"] else ""
    say(f"{count(found['count'], 'host')}{offline} · {_body_text(body)}", err=True)
    for warning in found["warnings"]:
        say(f"  {one_line(warning['message'])}", err=True)
    return found


def print_plan(api: Api, body: Json, form: str) -> int:
    """Print the plan without running anything. Returns 64 if the server would refuse it."""
    found = plan(api, body)
    if found["refused"]:
        for warning in found["warnings"]:
            say(one_line(warning["message"]), err=True)
        if not found["warnings"]:
            say("the targets match no host", err=True)
    if form == "human":
        say(one_line(found["folded"]) + (f" and {found['more']:,} more" if found["more"] else ""))
    else:
        lists.print_object(form, found)
    return USAGE if found["refused"] else 0


def command_text(task: Json) -> str:
    """Return the command of a task on one line."""
    run = task.get("command") or {}
    return _short(
        shlex.join(run["argv"]) if run.get("argv") else str(task.get("name") or run.get("command") or "script")
    )


def _body_text(body: Json) -> str:
    return _short(shlex.join(body["argv"]) if "argv" in body else body.get("name") or body.get("command") or "script")


def _short(text: str) -> str:
    text = one_line(text)
    return text if len(text) <= COMMAND_CHARS else text[: COMMAND_CHARS - 1] + "…"
