"""The states of a task and of an execution, and the only ways from one to the next, as data.

The pictures in docs/reference/states.md are drawn from these tables. What is not in a table cannot happen: `step`
raises.
"""

from __future__ import annotations

from enum import IntEnum

from proto.words import STATES, code_of_execution, code_of_task, words_of


class TaskStatus(IntEnum):
    """Numbers are stored; they never change. `label` is the code in JSON; proto/words.py has the words that people
    read."""

    PENDING = 0
    RUNNING = 1
    COMPLETED = 2
    FAILED = 3
    CANCELED = 4
    TIMEOUT = 5

    @property
    def label(self) -> str:
        return self.name.lower()

    @property
    def final(self) -> bool:
        return self >= TaskStatus.COMPLETED


class ExecutionStatus(IntEnum):
    """Status of one command on one host. Numbers are stored and index the tally; they never change."""

    PENDING = 0
    DISPATCHED = 1
    RUNNING = 2
    COMPLETED = 3
    FAILED = 4
    TIMEOUT = 5
    CANCELED = 6
    DISPATCH_FAILED = 7
    LOST = 8

    @property
    def label(self) -> str:
        return self.name.lower()

    @property
    def final(self) -> bool:
        return self >= ExecutionStatus.COMPLETED


class TaskStep(IntEnum):
    """What can happen to a task."""

    START = 0
    COMPLETE = 1
    FAIL = 2
    CANCEL = 3
    EXPIRE = 4


class ExecutionStep(IntEnum):
    """What can happen to an execution."""

    DISPATCH = 0
    START = 1
    COMPLETE = 2
    FAIL = 3
    TIME_OUT = 4
    CANCEL = 5
    REFUSE = 6
    LOSE = 7
    RETRY = 8
    """This attempt did not do; another one waits for its turn."""


T, E = TaskStatus, ExecutionStatus

TASK_STEPS: dict[tuple[TaskStatus, TaskStep], TaskStatus] = {
    (T.PENDING, TaskStep.START): T.RUNNING,
    (T.PENDING, TaskStep.CANCEL): T.CANCELED,
    (T.PENDING, TaskStep.FAIL): T.FAILED,
    (T.RUNNING, TaskStep.COMPLETE): T.COMPLETED,
    (T.RUNNING, TaskStep.FAIL): T.FAILED,
    (T.RUNNING, TaskStep.CANCEL): T.CANCELED,
    (T.RUNNING, TaskStep.EXPIRE): T.TIMEOUT,
}

EXECUTION_STEPS: dict[tuple[ExecutionStatus, ExecutionStep], ExecutionStatus] = {
    (E.PENDING, ExecutionStep.DISPATCH): E.DISPATCHED,
    (E.PENDING, ExecutionStep.REFUSE): E.DISPATCH_FAILED,
    (E.PENDING, ExecutionStep.CANCEL): E.CANCELED,
    (E.PENDING, ExecutionStep.LOSE): E.LOST,
    (E.DISPATCHED, ExecutionStep.START): E.RUNNING,
    (E.DISPATCHED, ExecutionStep.REFUSE): E.DISPATCH_FAILED,
    (E.DISPATCHED, ExecutionStep.COMPLETE): E.COMPLETED,
    (E.DISPATCHED, ExecutionStep.FAIL): E.FAILED,
    (E.DISPATCHED, ExecutionStep.TIME_OUT): E.TIMEOUT,
    (E.DISPATCHED, ExecutionStep.CANCEL): E.CANCELED,
    (E.DISPATCHED, ExecutionStep.LOSE): E.LOST,
    (E.DISPATCHED, ExecutionStep.RETRY): E.PENDING,
    (E.RUNNING, ExecutionStep.COMPLETE): E.COMPLETED,
    (E.RUNNING, ExecutionStep.FAIL): E.FAILED,
    (E.RUNNING, ExecutionStep.TIME_OUT): E.TIMEOUT,
    (E.RUNNING, ExecutionStep.CANCEL): E.CANCELED,
    (E.RUNNING, ExecutionStep.LOSE): E.LOST,
    (E.RUNNING, ExecutionStep.RETRY): E.PENDING,
}


class IllegalStep(Exception):
    """A step that its table does not hold. Carries the subject's name, its status and the step."""

    def __init__(self, subject: str, status: IntEnum, step: IntEnum) -> None:
        super().__init__(f"{subject}: no step {step.name} from {status.name}")
        self.subject, self.status, self.step = subject, status, step


def task_step(task_id: str, status: TaskStatus, step: TaskStep) -> TaskStatus:
    """The status after `step`. Raises IllegalStep."""
    try:
        return TASK_STEPS[status, step]
    except KeyError:
        raise IllegalStep(f"task {task_id}", status, step) from None


def execution_step(subject: object, status: ExecutionStatus, step: ExecutionStep) -> ExecutionStatus:
    """The status after `step`. Raises IllegalStep, for which alone `subject` is turned into text."""
    try:
        return EXECUTION_STEPS[status, step]
    except KeyError:
        raise IllegalStep(f"execution {subject}", status, step) from None


EXECUTION_WORDS = words_of(STATES)
"""The words of an execution's states, for a sentence that lists them."""
_TASKS = {status.label: status for status in TaskStatus}
_EXECUTIONS = {status.label: status for status in ExecutionStatus}


def task_status(word: str) -> TaskStatus:
    """The status from its code, its word (`timed out`) or an old spelling (`cancelled`); see proto/words.py. Raises
    KeyError."""
    return _TASKS[code_of_task(word)]


def execution_status(word: str) -> ExecutionStatus:
    """The status from its code, its word (`not started`) or an old spelling (`cancelled`); see proto/words.py. Raises
    KeyError."""
    return _EXECUTIONS[code_of_execution(word)]
