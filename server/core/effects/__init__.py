"""Effects that the engine requests.

Saves go to the writer, in order; all saves of one call form one transaction. The acts are carried out after that
transaction and every earlier one have been committed, so that no peer learns of a change that a crash could undo.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from server.core.effects.acts import (
    Ack,
    Act,
    Alarm,
    Cancel,
    Cut,
    Decision,
    Dispatch,
    Forget,
    Forgotten,
    Inquire,
    Progress,
    Verdict,
    Welcome,
)
from server.core.effects.saves import (
    CreateJoinToken,
    CreateTask,
    DeleteHost,
    DeleteJoinRequest,
    DeleteJoinToken,
    DeleteOrphans,
    DeleteRecord,
    DeleteTask,
    Save,
    SaveExecution,
    SaveHost,
    SaveIdentity,
    SaveJoinRequest,
    SaveKinds,
    SaveLate,
    SaveMeta,
    SaveOrphan,
    SaveOutput,
    SaveRecord,
    SaveSeen,
    SaveSeq,
    SaveTask,
    UseJoinToken,
)

__all__ = [
    "Ack",
    "Act",
    "Alarm",
    "Cancel",
    "CreateJoinToken",
    "CreateTask",
    "Cut",
    "Decision",
    "DeleteHost",
    "DeleteJoinRequest",
    "DeleteJoinToken",
    "DeleteOrphans",
    "DeleteRecord",
    "DeleteTask",
    "Dispatch",
    "Effects",
    "Forget",
    "Forgotten",
    "Inquire",
    "Progress",
    "Save",
    "SaveExecution",
    "SaveHost",
    "SaveIdentity",
    "SaveJoinRequest",
    "SaveKinds",
    "SaveLate",
    "SaveMeta",
    "SaveOrphan",
    "SaveOutput",
    "SaveRecord",
    "SaveSeen",
    "SaveSeq",
    "SaveTask",
    "SendTime",
    "UseJoinToken",
    "Verdict",
    "Welcome",
]


@dataclass(slots=True, eq=False)
class SendTime:
    """The time at which the messages of one engine call could be sent, after the commit of its transaction.

    Attributes:
        at: monotonic seconds; None: not yet.
        decided: when the engine was called, monotonic seconds; None: before this start of the server.
    """

    at: float | None = None
    decided: float | None = None


@dataclass(slots=True)
class Effects:
    """The result of one engine call: one transaction, then the acts in order.

    The conductor sets `departure.at` before it carries out the acts: an unavailable database delays them, and no host
    is judged by the time of the decision.
    """

    saves: list[Save] = field(default_factory=list)
    acts: list[Act] = field(default_factory=list)
    send_time: SendTime = field(default_factory=SendTime)

    def __bool__(self) -> bool:
        """True if there is anything to do."""
        return bool(self.saves or self.acts)
