"""The words for states and reasons, so that the page, too, says nothing but what the catalogue says."""

from __future__ import annotations

from proto.reasons import REASONS, STATES, UNREACHABLE
from server.core.states import EXECUTION_STEPS, TASK_STEPS
from server.web.call import Call, Reply
from server.web.views_answers import StepView, WordsView, WordView


async def get_words(call: Call) -> Reply:
    """Read the words for states and reasons.

    One word, a sentence and a hint for each, and the steps from state to state.
    """
    states = {label: WordView(word=one.word, message=one.message, hint=one.hint) for label, one in STATES.items()}
    states["unreachable"] = WordView(word=UNREACHABLE.word, message=UNREACHABLE.message, hint=UNREACHABLE.hint)
    return Reply(
        WordsView(
            states=states,
            reasons={code: WordView(word=one.word, message=one.message, hint=one.hint) for code, one in REASONS.items()},
            task_steps=[StepView(before=before.label, step=step.name.lower(), after=after.label) for (before, step), after in TASK_STEPS.items()],
            execution_steps=[StepView(before=before.label, step=step.name.lower(), after=after.label) for (before, step), after in EXECUTION_STEPS.items()],
        )
    )
