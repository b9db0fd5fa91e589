"""What is about to run, and where, said before it does."""

from __future__ import annotations

import shlex

from server.cli import emit
from server.cli.api import Api, Json
from server.cli.streams import say
from server.cli.text import count, one_line
from server.errors import USAGE

COMMAND_CHARS = 100


def plan(api: Api, body: Json, *, quiet: bool = False) -> Json:
    """`10,000 hosts (12 offline) · uname -a`, and what may not be as meant, on standard error. Returns the server's preview."""
    found = api.post("hosts/select", {"targets": body["targets"], "sample": 0})
    if quiet:
        return found
    offline = f" ({found['offline']:,} offline)" if found["offline"] else ""
    say(f"{count(found['count'], 'host')}{offline} · {_command(body)}", err=True)
    for warning in found["warnings"]:
        say(f"  {one_line(warning['message'])}", err=True)
    return found


def tell_plan(api: Api, body: Json, form: str) -> int:
    """The plan instead of a run. Exit code 64 if the server would refuse it."""
    found = plan(api, body)
    if form == "human":
        say(one_line(found["folded"]) + (f" and {found['more']:,} more" if found["more"] else ""))
    else:
        emit.one(form, found)
    return USAGE if found["refused"] else 0


def _command(body: Json) -> str:
    text = one_line(shlex.join(body["argv"]) if "argv" in body else body.get("name") or body.get("command") or "script")
    return text if len(text) <= COMMAND_CHARS else text[: COMMAND_CHARS - 1] + "…"
