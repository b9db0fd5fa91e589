"""Why an execution did not complete: the closed list of reasons that agents send, the store keeps and people read.

Each reason has the phase in which it happened, a sentence, what to do about it, and whether trying again can help.
An execution whose reason says `started=False` is certain never to have run.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """phase: one of admit, deliver, start, run, report. started: whether a process of it may ever have existed."""

    code: str
    phase: str
    message: str
    hint: str
    retryable: bool
    started: bool

    @property
    def word(self) -> str:
        """What people are told in one word, or two. Different things have different words; the sentence is `message`."""
        return WORDS.get(self.code) or ("lost" if self.started else "not started")


_ALL = (
    Reason("offline", "admit", "the host was not connected when the command was due", "start the agent on that host, then run the command again", True, False),
    Reason("never_seen", "admit", "the host has never connected", "join an agent under this host id", True, False),
    Reason("queue_full", "admit", "too many executions wait for hosts that are not connected", "raise limits.waiting or limits.waiting_per_host, or use if_offline = fail", True, False),
    Reason("task_timeout", "admit", "the task's time was over before this host's turn came", "raise the task's timeout or its concurrency", True, False),
    Reason("busy", "deliver", "the agent already runs as many commands as it may", "raise the agent's slots or the command's start_within", True, False),
    Reason("expired", "deliver", "it could not be started within the time allowed", "raise start_within, or wait_for where the host was not connected", True, False),
    Reason("spool_full", "deliver", "the agent's disk space for results is used up", "restore the connection or the server's database so that results can leave", True, False),
    Reason("journal_failed", "deliver", "the agent could not write its journal, so it did not start", "look at the disk of that host", True, False),
    Reason("refused", "deliver", "the agent's own policy refuses this command", "change the policy file on that host", False, False),
    Reason("invalid_spec", "deliver", "the agent cannot carry out such a command", "compare the versions of server and agent", False, False),
    Reason("draining", "deliver", "the agent was shutting down", "run it again once the agent is back", True, False),
    Reason("duplicate", "deliver", "the agent has already seen a newer dispatch than this one", "look at the host's other executions", False, False),
    Reason("spawn_failed", "start", "the program could not be started", "check the program, the interpreter, cwd and run_as on that host", False, False),
    Reason("agent_died", "start", "the agent was killed before it could start it", "look at why the agent on that host ended, then run it again", True, False),
    Reason("exit_nonzero", "run", "the program ended with an exit code that does not count as success", "read its output", False, True),
    Reason("signaled", "run", "the program was ended by a signal that Clarion did not send", "look for the out-of-memory killer or another operator", False, True),
    Reason("timed_out", "run", "the command's own timeout was over; its processes were ended", "raise timeout if it needs longer", False, True),
    Reason("output_limit", "run", "it wrote more output than allowed; its processes were ended", "raise max_output or write less", False, True),
    Reason("canceled", "run", "it was canceled on request", "nothing to do", False, True),
    Reason("canceled_before_start", "deliver", "it was canceled before it started", "nothing to do", False, False),
    Reason("shim_died", "report", "the process that watched over the command was killed, so its exit status is unknown", "look for the out-of-memory killer on that host", False, True),
    Reason("rebooted", "report", "the host was restarted while the command ran", "check by hand what it had done", False, True),
    Reason("journal_lost", "report", "the agent's journal is gone, so nobody can say whether it ran", "check by hand what it had done", False, True),
    Reason("silent", "report", "the host stayed away longer than lost_after", "check by hand what it had done; a late report is kept beside", False, True),
    Reason("force_canceled", "report", "an operator ended the record while the host was unreachable; it may still be running", "check by hand", False, True),
    Reason("unanswered", "report", "the host is connected but never said how it ended, however often it was asked to end it; it may still be running", "look at the agent on that host; a late report is kept beside", False, True),
    Reason("rolled_back", "report", "the database was set back to an older state, so nobody can say whether it ran since then", "check by hand; a late report is kept beside", False, True),
    Reason("restored", "report", "the database is a restored backup, so nobody can say whether it ran since then", "check by hand; a late report is kept beside", False, True),
    Reason("unknown", "report", "the agent gave a reason that this server does not know", "bring server and agent to the same version", False, True),
)

REASONS: dict[str, Reason] = {reason.code: reason for reason in _ALL}

WORDS = {
    **dict.fromkeys(("offline", "never_seen"), "unreachable"),
    **dict.fromkeys(("task_timeout", "expired"), "expired"),
    **dict.fromkeys(("queue_full", "busy", "spool_full", "journal_failed", "refused", "invalid_spec", "draining", "duplicate"), "refused"),
    **dict.fromkeys(("spawn_failed", "agent_died", "exit_nonzero"), "failed"),
    "timed_out": "timed out",
    **dict.fromkeys(("signaled", "output_limit"), "killed"),
    **dict.fromkeys(("canceled", "canceled_before_start"), "canceled"),
    **dict.fromkeys(("shim_died", "rebooted", "journal_lost", "silent", "force_canceled", "unanswered", "rolled_back", "restored", "unknown"), "lost"),
}
"""Code of a reason → its word."""


@dataclass(frozen=True, slots=True)
class Said:
    """What is said of an execution: a word, a sentence, and what to do."""

    word: str
    message: str
    hint: str


STATES: dict[str, Said] = {
    "pending": Said("waiting", "it has not been sent to the host yet", "wait; the task says what it waits for"),
    "dispatched": Said("sent", "it is on its way to the host, which has not said that it runs", "wait; start_within bounds this"),
    "running": Said("running", "the host has started it and has not reported its end", "wait, or cancel it; timeout bounds this"),
    "completed": Said("completed", "the host reported an exit code that counts as success", "nothing to do"),
    "failed": Said("failed", "the host reported an end that does not count as success", "read its output"),
    "timeout": Said("timed out", "its time was over; its processes were ended", "raise timeout if it needs longer"),
    "canceled": Said("canceled", "it was canceled on request", "nothing to do"),
    "dispatch_failed": Said("not started", "it certainly never started on the host", "see the reason, then run it again"),
    "lost": Said("lost", "it may have run, and nobody can say how it ended", "check by hand what it had done"),
}
"""Label of an execution's status → what is said of it where no reason is known."""
UNREACHABLE = Said("unreachable", "its host is away; the real result is taken when the host returns", "look at the host or the network")


def said(status: str, *, unreachable: bool = False, code: str | None = None) -> Said:
    """For the label of a status, the flag of a row that has not ended, and the code of its reason. Raises KeyError for no label of a status."""
    if code is not None:
        known = reason(code)
        return Said(known.word, known.message, known.hint)
    return UNREACHABLE if unreachable else STATES[status]


def reason(code: str) -> Reason:
    """The catalogue's entry, or that of `unknown`: agents may be newer than the server."""
    return REASONS.get(code) or REASONS["unknown"]
