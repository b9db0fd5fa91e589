"""The states of tasks and executions, and their transition tables.

The diagrams in docs/reference/states.md are drawn from these tables. A transition that is not in a table raises
IllegalStep.
"""

from __future__ import annotations

from enum import IntEnum

from proto.words import STATES, code_of_execution, code_of_task, words_of


class TaskStatus(IntEnum):
    """Status of a task. The numbers are stored and never change."""

    PENDING = 0
    RUNNING = 1
    COMPLETED = 2
    FAILED = 3
    CANCELED = 4
    TIMEOUT = 5

    @property
    def label(self) -> str:
        """The code in JSON. proto/words.py has the words that people read."""
        return self.name.lower()

    @property
    def final(self) -> bool:
        """True if the task has ended."""
        return self >= TaskStatus.COMPLETED


class ExecutionStatus(IntEnum):
    """Status of one command on one host. The numbers are stored, index the tally and never change."""

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
        """The code in JSON. proto/words.py has the words that people read."""
        return self.name.lower()

    @property
    def final(self) -> bool:
        """True if the execution has ended."""
        return self >= ExecutionStatus.COMPLETED


class TaskStep(IntEnum):
    """A cause for a change of a task's status."""

    START = 0
    COMPLETE = 1
    FAIL = 2
    CANCEL = 3
    EXPIRE = 4


class ExecutionStep(IntEnum):
    """A cause for a change of an execution's status."""

    DISPATCH = 0
    START = 1
    COMPLETE = 2
    FAIL = 3
    TIME_OUT = 4
    CANCEL = 5
    REFUSE = 6
    LOSE = 7
    RETRY = 8
    """The attempt did not succeed, and another one waits for its turn."""


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
"""The status after each allowed step of a task."""

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
"""The status after each allowed step of an execution."""


class IllegalStep(Exception):
    """A step that the transition table does not allow.

    Attributes:
        subject: The task or execution, for people.
        status: Its status.
        step: The step.
    """

    def __init__(self, subject: str, status: IntEnum, step: IntEnum) -> None:
        """Build the error text."""
        super().__init__(f"{subject}: no step {step.name} from {status.name}")
        self.subject, self.status, self.step = subject, status, step


def task_step(task_id: str, status: TaskStatus, step: TaskStep) -> TaskStatus:
    """Return the task's status after `step`.

    Raises:
        IllegalStep: The step is not allowed.
    """
    try:
        return TASK_STEPS[status, step]
    except KeyError:
        raise IllegalStep(f"task {task_id}", status, step) from None


def execution_step(subject: object, status: ExecutionStatus, step: ExecutionStep) -> ExecutionStatus:
    """Return the execution's status after `step`.

    Args:
        subject: The execution, which is turned into text for the error only.
        status: Its status.
        step: The step.

    Raises:
        IllegalStep: The step is not allowed.
    """
    try:
        return EXECUTION_STEPS[status, step]
    except KeyError:
        raise IllegalStep(f"execution {subject}", status, step) from None


EXECUTION_WORDS = words_of(STATES)
"""The words of all execution states, for a sentence that lists them."""
_TASKS = {status.label: status for status in TaskStatus}
_EXECUTIONS = {status.label: status for status in ExecutionStatus}


def task_status(word: str) -> TaskStatus:
    """Return the status for its code, its word (`timed out`) or an old spelling (`cancelled`), see proto/words.py.

    Raises:
        KeyError: No status has this name.
    """
    return _TASKS[code_of_task(word)]


def execution_status(word: str) -> ExecutionStatus:
    """Return the status for its code, its word (`not started`) or an old spelling (`cancelled`), see proto/words.py.

    Raises:
        KeyError: No status has this name.
    """
    return _EXECUTIONS[code_of_execution(word)]
