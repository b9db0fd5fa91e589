"""Draws the pages that are tables in the code: `make docs`. tests/house/test_docs.py compares.

docs/reference/states.md from server/core/states.py and proto/words.py, docs/reference/errors.md from server/errors.py,
docs/reference/reasons.md from proto/reasons.py
and proto/notes.py,
docs/reference/configuration.md from server/settings/sections, docs/reference/commands.md from the commands of
server/cli.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from enum import IntEnum
from pathlib import Path

import click
from grpclib.const import Status

sys.path.insert(0, str(Path(__file__).parents[1]))

from proto.notes import NOTES
from proto.reasons import REASONS
from proto.words import HOST_OFFLINE, HOSTS, STATES, TASKS, Said
from server.cli.lazy_group import LazyGroup
from server.cli.main import cli
from server.core.states import EXECUTION_STEPS, TASK_STEPS, ExecutionStatus, TaskStatus
from server.errors import PROBLEMS
from server.settings.document import render as configuration

DOCS = Path(__file__).parent
DRAWN = "<!-- Drawn by docs/generate.py; change the table it is drawn from and run 'make docs'. -->\n"


def table(columns: tuple[str, ...], lines: list[tuple[object, ...]]) -> str:
    """A Markdown table; a bar inside a cell is escaped."""
    shown = [[str(cell).replace("|", r"\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in [list(columns), ["---"] * len(columns), *shown]) + "\n"


def picture(
    statuses: type[TaskStatus] | type[ExecutionStatus], steps: Mapping[tuple[IntEnum, IntEnum], IntEnum]
) -> str:
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
JSON carries a *code*, which never changes; people read a *word*. Wherever a status can be given (API, CLI, selectors, filters), the code and the word are
accepted in any case, with spaces, `_` or `-`, and so are the Chinese words and the spellings of earlier releases: `timed out`, `timed_out`,
`timeout`; `not started`, `dispatch_failed`; `cancelled`.

The pictures are the transition tables of `server/core/states.py`, which the engine runs. A step that is not an arrow here cannot happen: the
engine raises an error instead. A final state is never left.

## Host

{_words(HOSTS, "state")}
## Task

`failed` means that not every host completed; the field `partial` tells whether some did.

{_words(TASKS, "code")}
{picture(TaskStatus, TASK_STEPS)}
## Execution: one command on one host

`lost` counts with the failed hosts; a report that arrives later is kept as `late_result`. An execution that has not ended keeps its state while its
host is offline: it is shown as `running (host offline)`, and the JSON field `unreachable` is true.

{_words(STATES, "code")}
{picture(ExecutionStatus, EXECUTION_STEPS)}"""  # noqa: E501


def _words(said: Mapping[str, Said], first: str) -> str:
    lines: list[tuple[object, ...]] = [
        (f"`{code}`", one.word, one.zh[0], one.message, one.hint) for code, one in said.items()
    ]
    return table((first, "word", "zh-CN", "meaning", "what to do"), lines)


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
The exit codes of `clarion` are in [the command line](cli.md#exit-codes).
"""  # noqa: E501


def reasons() -> str:
    def yes(value: bool) -> str:
        return "yes" if value else "no"

    lines: list[tuple[object, ...]] = [
        (f"`{one.code}`", one.phase, one.word, one.message, one.hint, yes(one.retryable), yes(one.started))
        for one in REASONS.values()
    ]
    notes: list[tuple[object, ...]] = [(f"`{one.code}`", one.message, one.hint) for one in NOTES.values()]
    return f"""# Reasons

{DRAWN}
Why an execution did not complete: the field `error_code` of an execution, and of the messages Rejected and CommandResult. Phases, in
order: `admit` before anything was sent, `deliver` on the way to the host, `start`, `run`, and `report` when the answer went missing.
*Retry* says whether running it again can help as things are. *May have run* is `no` only where it is certain that no process existed.

The *word* is that of the state in which such an execution ends ([states](states.md)); the reason says why. An execution that has not ended and whose host
is offline shows "{HOST_OFFLINE.word}" after its word: {HOST_OFFLINE.message}.

## Reasons by code

{table(("code", "phase", "word", "what happened", "what to do", "retry", "may have run"), lines)}
## Notes

Facts of a report that change what there is to do, whatever the exit code: the field `notes` of an execution and of a group of answers. `count` is the
number of processes where the agent counted them; in a group, `hosts` is the number of its hosts for which the note holds.

{table(("code", "what happened", "what to do"), notes)}"""  # noqa: E501


def commands() -> str:
    """Every verb of `clarion` with its arguments and options, as its own help has them."""
    parts = [
        (
            f"# Commands of clarion\n\n{DRAWN}\nEvery verb and option; [the command line](cli.md) tells how they "
            f"work together, and which options go with every verb.\n"
        )
    ]

    def walk(group: LazyGroup, path: str) -> None:
        for name in group.verbs:
            way = f"{path} {name}"
            verb = group.get_command(click.Context(group), name)
            assert verb is not None
            if isinstance(verb, LazyGroup):
                walk(verb, way)
                continue
            context = click.Context(verb, info_name=way)
            usage = " ".join(verb.collect_usage_pieces(context))
            parts.append(f"\n## {way}\n\n`{way} {usage}`\n\n{verb.get_short_help_str(200)}\n")
            rows: list[tuple[object, ...]] = [
                (f"`{record[0]}`", record[1])
                for param in verb.params
                if isinstance(param, click.Option) and (record := param.get_help_record(context)) is not None
            ]
            if rows:
                parts.append("\n" + table(("option", "meaning"), rows))

    walk(cli, "clarion")
    return "".join(parts)


PAGES: dict[str, Callable[[], str]] = {
    "states.md": states,
    "errors.md": errors,
    "reasons.md": reasons,
    "configuration.md": configuration,
    "commands.md": commands,
}


def main() -> None:
    for name, draw in PAGES.items():
        (DOCS / "reference" / name).write_text(draw())
        print(f"drew docs/reference/{name}")


if __name__ == "__main__":
    main()
