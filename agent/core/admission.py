"""Decides about executions that the journal does not contain: refuse a dispatch, answer a cancel."""

from __future__ import annotations

from agent.core.events import Cancel, Dispatch, Refusal
from agent.core.model import Outcome
from agent.core.runtime import EngineConfig


def refusal(
    event: Dispatch,
    *,
    newest_attempt: int,
    draining: bool,
    journal_error: str,
    running: int,
    spool_bytes: int,
    config: EngineConfig,
) -> Refusal | None:
    """Return why the dispatch is refused, or None if it is accepted.

    Args:
        event: The dispatch.
        newest_attempt: The highest known attempt of its command, or its own attempt.
        draining: True while the agent shuts down.
        journal_error: Why the journal accepts no records, or an empty text.
        running: Number of slots in use.
        spool_bytes: Bytes taken and reserved in the spool.
        config: The limits.
    """
    if newest_attempt > event.key[1]:
        return Refusal("duplicate", f"this host already has attempt {newest_attempt} of this command")
    if draining:
        return Refusal("draining", "the agent is shutting down")
    if event.refusal:
        return event.refusal
    if journal_error:
        return Refusal("journal_failed", journal_error)
    if running >= config.slots:
        return Refusal("busy", f"all {config.slots} slots are in use")
    if spool_bytes + event.size > config.spool_bytes:
        return Refusal(
            "spool_full",
            f"{spool_bytes} of {config.spool_bytes} bytes are in use, and {event.size} more are needed",
        )
    return None


def end_of_unknown(event: Cancel, journal_id: str, low: int) -> tuple[Outcome, str, str]:
    """Return outcome, reason and message for a Cancel of an execution that is not in the journal.

    Args:
        event: The cancel.
        journal_id: The present journal.
        low: The highest dispatch number up to which every execution has ended.
    """
    if event.journal_id != journal_id:
        return Outcome.LOST, "journal_lost", "it was dispatched to an earlier journal of this host"
    if event.seq <= low:
        return Outcome.LOST, "journal_lost", forgotten(event.seq)
    reason = "expired" if event.reason == "expired" else "canceled_before_start"
    return Outcome.NEVER, reason, "its cancel arrived before its dispatch"


def forgotten(seq: int) -> str:
    """Return the message about a dispatch number whose result is no longer kept."""
    return f"dispatch number {seq} has ended, and this host no longer has its result"
