"""docs/reference/states.md, from server/core/states.py and proto/words.py."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from docs.drawing.markdown import DRAWN, table
from proto.words import HOSTS, STATES, TASKS, Said
from server.core.states import EXECUTION_STEPS, TASK_STEPS, ExecutionStatus, TaskStatus

Steps = Mapping[tuple[IntEnum, IntEnum], IntEnum]


def states() -> str:
    return f"""# States

{DRAWN}
JSON carries a *code*, which never changes. People read a *word*. Every place that takes a status (API, CLI,
selectors, filters) accepts the code and the word,
in upper or lower case, with spaces, `_` or `-`. It also accepts the Chinese words and the spellings of earlier
releases, for example `timed out`, `timed_out` and
`timeout`, `not started` and `dispatch_failed`, or `cancelled`.

The transitions below are the tables of `server/core/states.py`, which the engine runs. Every other transition raises
an error in the engine. A final state never changes.

## Host

{_words(HOSTS, "state")}
## Task

A task is `failed` if not every host completed. The field `partial` is true if some hosts completed.

{_words(TASKS, "code")}
{_transitions(TaskStatus, TASK_STEPS)}
## Execution: one command on one host

A task counts `lost` executions among the failed ones. A report that arrives for a lost execution is stored as
`late_result`. If the host of an open execution goes
offline, the execution keeps its state: people see `running (host offline)`, and the JSON field `unreachable` is true.

{_words(STATES, "code")}
{_transitions(ExecutionStatus, EXECUTION_STEPS)}"""


def _words(said: Mapping[str, Said], first: str) -> str:
    rows = [(f"`{code}`", one.word, one.zh[0], one.message, one.hint) for code, one in said.items()]
    return table((first, "word", "zh-CN", "meaning", "what to do"), rows)


def _transitions(statuses: type[TaskStatus] | type[ExecutionStatus], steps: Steps) -> str:
    """One row per state that is not final, one line per next state."""
    rows = []
    for status in statuses:
        if status.final:
            continue
        nexts: dict[str, list[str]] = {}
        for (old, step), new in steps.items():
            if old == status:
                nexts.setdefault(new.name.lower(), []).append(step.name.lower())
        rows += [(f"`{status.label}`", ", ".join(names), f"`{new}`") for new, names in nexts.items()]
    finals = ", ".join(f"`{status.label}`" for status in statuses if status.final)
    first = f"`{statuses(0).label}`"
    return f"The first state is {first}. Final states: {finals}.\n\n{table(('from', 'step', 'to'), rows)}"
