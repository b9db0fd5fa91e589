"""GET /words: display names and hints for states, reasons and notes."""

from __future__ import annotations

from collections.abc import Mapping

from proto.notes import NOTES
from proto.reasons import REASONS, Reason
from proto.words import ENGLISH, HOST_OFFLINE, HOSTS, LANGUAGES, STATES, TASKS, Said
from server.core.states import EXECUTION_STEPS, TASK_STEPS
from server.web.http.route import Param
from server.web.request import ApiRequest, ApiResponse
from server.web.schemas.server import SayingView, StepView, WordsView, WordView

PARAMS = (Param("language", "string", "Language of the words: `en` (default) or `zh-CN`.", choices=LANGUAGES),)


async def get_words(call: ApiRequest) -> ApiResponse:
    """Read the display names of states, reasons and notes.

    Each has a word, a sentence and a hint in the requested language. Also lists the transitions between states. All
    other JSON contains codes; these are the words that people read.
    """
    language = call.query.choice("language", ENGLISH, LANGUAGES)
    notes = {code: note.texts(language) for code, note in NOTES.items()}
    return ApiResponse(
        WordsView(
            states=_views(STATES | {"unreachable": HOST_OFFLINE}, language),
            tasks=_views(TASKS, language),
            hosts=_views(HOSTS, language),
            reasons=_views(REASONS, language),
            notes={code: SayingView(message=message, hint=hint) for code, (message, hint) in notes.items()},
            task_steps=[
                StepView(before=before.label, step=step.name.lower(), after=after.label)
                for (before, step), after in TASK_STEPS.items()
            ],
            execution_steps=[
                StepView(before=before.label, step=step.name.lower(), after=after.label)
                for (before, step), after in EXECUTION_STEPS.items()
            ],
        )
    )


def _views(table: Mapping[str, Said] | Mapping[str, Reason], language: str) -> dict[str, WordView]:
    texts = {code: one.texts(language) for code, one in table.items()}
    return {code: WordView(word=word, message=message, hint=hint) for code, (word, message, hint) in texts.items()}
