"""Draws the pages that are tables in the code: `make docs`. tests/house/test_docs.py compares.

docs/states.md from server/core/states.py, docs/errors.md from server/errors.py, docs/reasons.md from proto/reasons.py,
docs/configuration.md from server/settings.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from enum import IntEnum
from pathlib import Path

from grpclib.const import Status

sys.path.insert(0, str(Path(__file__).parents[1]))

from proto.reasons import REASONS, STATES, UNREACHABLE
from server.core.states import EXECUTION_STEPS, TASK_STEPS, ExecutionStatus, TaskStatus
from server.errors import PROBLEMS
from server.settings_doc import render as configuration

DOCS = Path(__file__).parent
DRAWN = "<!-- Drawn by docs/generate.py; change the table it is drawn from and run 'make docs'. -->\n"


def table(columns: tuple[str, ...], lines: list[tuple[object, ...]]) -> str:
    """A Markdown table; a bar inside a cell is escaped."""
    shown = [[str(cell).replace("|", r"\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in [list(columns), ["---"] * len(columns), *shown]) + "\n"


def picture(statuses: type[TaskStatus] | type[ExecutionStatus], steps: Mapping[tuple[IntEnum, IntEnum], IntEnum]) -> str:
    """A mermaid state diagram: every arrow of the table, labelled with its steps."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for (old, step), new in steps.items():
        arrows.setdefault((old.name.lower(), new.name.lower()), []).append(step.name.lower())
    lines = ["stateDiagram-v2", f"    [*] --> {statuses(0).label}"]
    lines += [f"    {old} --> {new}: {', '.join(names)}" for (old, new), names in arrows.items()]
    lines += [f"    {status.label} --> [*]" for status in statuses if status.final]
    return "```mermaid\n" + "\n".join(lines) + "\n```\n"


def states() -> str:
    return f"""# States

{DRAWN}
The pictures are the transition tables of `server/core/states.py`, which the engine runs. What is not an arrow here cannot happen: the
engine raises instead. A final state is never left.

## Task

`failed` means that not every host completed; the field `partial` tells whether some did. `cancelled` is accepted wherever `canceled` is.

{picture(TaskStatus, TASK_STEPS)}
## Execution: one command on one host

`dispatch_failed`: it certainly never started. `lost`: it may have run and nobody can say; it counts with the failed hosts, and a report
that comes later is kept beside the row as `late_result`. *Unreachable* is a flag on a row while its agent is away, not a state.

{picture(ExecutionStatus, EXECUTION_STEPS)}"""


def errors() -> str:
    lines: list[tuple[object, ...]] = [
        (f"`{one.code}`", one.http, Status(one.grpc).name, one.exit, one.message, one.hint) for one in PROBLEMS.values()
    ]
    return f"""# Errors

{DRAWN}
Every error of the REST API has one shape, and its `code` never changes its meaning:

```json
{{"error": {{"code": "unknown_hosts", "message": "…", "field": "targets", "hint": "…", "request_id": "…"}}}}
```

`field` is the dotted path of the offending input, or null; `request_id` is also in the server's log. Some errors have more members, such as the list of all unknown hosts. The
command line prints message and hint and ends with the exit code; what an agent did wrong ends its stream with the gRPC status.
Nothing was changed by a request that ends in one of these.

{table(("code", "HTTP", "gRPC", "exit", "message", "what to do"), lines)}
## Exit codes of `clarion`

| code | meaning |
| --- | --- |
| 0 | every host completed |
| 2 | some hosts failed |
| 3 | some hosts could not be reached or never started, and none failed |
| 4 | canceled |
| 5 | timeout |
| 64 | wrong usage, or the server refused the request |
| 69 | the server or its database cannot be reached |
| 70 | something failed that should not |
| 77 | no token, or a wrong one |
| 130 | interrupted; the task goes on |
"""


def reasons() -> str:
    def yes(value: bool) -> str:
        return "yes" if value else "no"

    lines: list[tuple[object, ...]] = [
        (f"`{one.code}`", one.phase, one.word, one.message, one.hint, yes(one.retryable), yes(one.started)) for one in REASONS.values()
    ]
    words: list[tuple[object, ...]] = [(f"`{status}`", one.word, one.message, one.hint) for status, one in STATES.items()]
    words.append(("not ended, host away", UNREACHABLE.word, UNREACHABLE.message, UNREACHABLE.hint))
    return f"""# Reasons

{DRAWN}
Why an execution did not complete: the field `error_code` of an execution, and of the messages Rejected and CommandResult. Phases, in
order: `admit` before anything was sent, `deliver` on the way to the host, `start`, `run`, and `report` when the answer went missing.
*Retry* says whether running it again can help as things are. *May have run* is `no` only where it is certain that no process existed.

## Words

What people are told in one word, on the command line and on the page. An execution with a reason has the reason's word.

{table(("status", "word", "what happened", "what to do"), words)}
## Reasons by code

{table(("code", "phase", "word", "what happened", "what to do", "retry", "may have run"), lines)}"""


PAGES: dict[str, Callable[[], str]] = {"states.md": states, "errors.md": errors, "reasons.md": reasons, "configuration.md": configuration}


def main() -> None:
    for name, draw in PAGES.items():
        (DOCS / name).write_text(draw())
        print(f"drew docs/{name}")


if __name__ == "__main__":
    main()
