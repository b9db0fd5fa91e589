"""docs/reference/errors.md, from server/errors, and docs/reference/reasons.md, from proto/reasons.py and
proto/notes.py."""

from __future__ import annotations

from grpclib.const import Status

from docs.drawing.markdown import DRAWN, table
from proto.notes import NOTES
from proto.reasons import REASONS
from proto.words import HOST_OFFLINE
from server.errors import PROBLEMS


def errors() -> str:
    rows = [
        (f"`{one.code}`", one.http, Status(one.grpc).name, one.exit, one.message, one.hint) for one in PROBLEMS.values()
    ]
    return f"""# Errors

{DRAWN}
Every error of the REST API has the same shape. The meaning of a `code` never changes:

```json
{{"error": {{"code": "unknown_hosts", "message": "…", "field": "targets", "hint": "…", "request_id": "…"}}}}
```

`field` is the dotted path of the wrong input, or null. The server logs the `request_id` too. Some errors have more
members, for example the list of all unknown hosts.
The command line prints message and hint and exits with the code in the column *exit*. An agent's error ends its
stream with the gRPC status.
A request that ends in one of these errors has changed nothing.

{table(("code", "HTTP", "gRPC", "exit", "message", "what to do"), rows)}
The exit codes of `clarion` are listed in [the command line](cli.md#exit-codes).
"""


def reasons() -> str:
    rows = [
        (f"`{one.code}`", one.phase, one.word, one.message, one.hint, _yes(one.retryable), _yes(one.started))
        for one in REASONS.values()
    ]
    notes = [(f"`{one.code}`", one.message, one.hint) for one in NOTES.values()]
    return f"""# Reasons

{DRAWN}
A reason says why an execution did not complete. It is the field `error_code` of an execution and of the messages
Rejected and CommandResult.
The *phase* says where it happened: `admit` before the server sent anything, `deliver` on the way to the host,
`start`, `run`, and `report` if the result did not arrive.
*Retry* says whether the same command can succeed if it is run again. *May have run* is `no` only if it is certain
that no process was started.

The *word* is the word of the state in which the execution ends ([states](states.md)). If the execution is open and
its host is offline,
people see "{HOST_OFFLINE.word}" after the word: {HOST_OFFLINE.message}.

## Reasons by code

{table(("code", "phase", "word", "what happened", "what to do", "retry", "may have run"), rows)}
## Notes

A note is a fact in a report that needs attention whatever the exit code is. Executions and groups of results have
them in the field `notes`. `count` is the
number of processes if the agent counted them. In a group, `hosts` is the number of its hosts that have the note.

{table(("code", "what happened", "what to do"), notes)}"""


def _yes(value: bool) -> str:
    return "yes" if value else "no"
