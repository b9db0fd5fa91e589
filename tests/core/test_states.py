"""The transition tables, cell by cell."""

from __future__ import annotations

import pytest

from server.core.states import (
    EXECUTION_STEPS,
    TASK_STEPS,
    ExecutionStatus,
    ExecutionStep,
    IllegalStep,
    TaskStatus,
    TaskStep,
    execution_status,
    execution_step,
    task_status,
    task_step,
)


@pytest.mark.parametrize("step", ExecutionStep)
@pytest.mark.parametrize("status", ExecutionStatus)
def test_an_execution_takes_the_steps_of_its_table_and_no_others(status: ExecutionStatus, step: ExecutionStep) -> None:
    if (status, step) in EXECUTION_STEPS:
        assert execution_step("x", status, step) is EXECUTION_STEPS[status, step]
    else:
        with pytest.raises(IllegalStep, match=f"execution x: no step {step.name} from {status.name}"):
            execution_step("x", status, step)


@pytest.mark.parametrize("step", TaskStep)
@pytest.mark.parametrize("status", TaskStatus)
def test_a_task_takes_the_steps_of_its_table_and_no_others(status: TaskStatus, step: TaskStep) -> None:
    if (status, step) in TASK_STEPS:
        assert task_step("x", status, step) is TASK_STEPS[status, step]
    else:
        with pytest.raises(IllegalStep) as caught:
            task_step("x", status, step)
        assert (caught.value.subject, caught.value.status, caught.value.step) == ("task x", status, step)


@pytest.mark.capability("S5", "I2")
def test_no_step_leads_out_of_a_final_status() -> None:
    assert not [old for old, _ in EXECUTION_STEPS if old.final]
    assert not [old for old, _ in TASK_STEPS if old.final]


def test_from_every_open_status_a_final_one_can_be_reached() -> None:
    for status in ExecutionStatus:
        if not status.final:
            assert any(new.final for (old, _), new in EXECUTION_STEPS.items() if old is status)


@pytest.mark.capability("I7")
def test_no_step_leads_from_running_to_not_started() -> None:
    assert (ExecutionStatus.RUNNING, ExecutionStep.REFUSE) not in EXECUTION_STEPS


@pytest.mark.capability("Z1")
def test_both_spellings_of_canceled_are_read_and_one_is_written() -> None:
    assert task_status("cancelled") is task_status("CANCELED") is TaskStatus.CANCELED
    assert execution_status("cancelled") is execution_status("canceled") is ExecutionStatus.CANCELED
    assert TaskStatus.CANCELED.label == ExecutionStatus.CANCELED.label == "canceled"
    with pytest.raises(KeyError):
        task_status("done")
