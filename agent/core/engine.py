"""The agent's engine: events in, effects out.

These rules hold no matter which process dies at which moment:

- INTENT is durable before the fork, KILL_INTENT before the first signal, EXIT before the result is sent.
- A known id is never started again. The engine checks the journal's executions, then the tombstones, then whether `seq
  <= low`.
- Every Dispatch and every Cancel of the present session is answered; those of another session are dropped.
- A result is sent again after every Welcome until it is acknowledged.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.core import admission
from agent.core import effects as out
from agent.core import events as ev
from agent.core.executions import Execution
from agent.core.journal import Acked, Exit, Intent, KillIntent, Low, Seen, Started, Tombstone
from agent.core.ledger import FollowUp, Ledger
from agent.core.model import Key, Now, Outcome, Report, Stage, lost_report
from agent.core.reporting import Reporting
from agent.core.runtime import EngineConfig, RuntimeState
from agent.core.state import State


class Engine:
    """The state machine of one agent."""

    def __init__(self, state: State, journal_id: str, boot_id: str, config: EngineConfig | None = None) -> None:
        """Start from a journal.

        Args:
            state: The fold of a journal whose records are all durable.
            journal_id: The id of that journal.
            boot_id: The present boot of this host.
            config: Limits; defaults if None.
        """
        self.state, self.journal_id, self.boot_id = state, journal_id, boot_id
        self.config = config or EngineConfig()
        self.session: int | None = None
        self.draining = False
        self.live: dict[Key, RuntimeState] = {
            key: RuntimeState(stage=execution.stage, spawned=True, kill_noted=True)
            for key, execution in state.executions.items()
        }
        self._reporting = Reporting()
        self._rejected: dict[Key, out.Rejected] = {}
        self._unwritten_tombstones: dict[Key, Tombstone] = {}  # tombstones that are not durable yet
        self._out: list[out.Effect] = []
        self._ledger = Ledger(
            state, self.config.rewrite_records, self.config.retry_ms, lambda effect: self._out.append(effect)
        )
        self._now = Now(0, 0)

    # --- queries ------------------------------------------------------------------------------------------------------

    def hello(self) -> out.Hello:
        """Return the first message of a new stream."""
        entries = []
        for key, execution in self.state.executions.items():
            stage = self.live[key].stage
            if stage is not None:
                outcome = execution.report.outcome if execution.report and stage >= Stage.DONE else Outcome.NEVER
                entries.append(out.Entry(key, execution.seq, stage, outcome))
        return out.Hello(self.journal_id, self.state.max_seq, self.state.max_epoch, entries)

    @property
    def running(self) -> int:
        """Number of executions that use a slot."""
        return sum(execution.open for execution in self.state.executions.values())

    @property
    def spool_bytes(self) -> int:
        """Bytes taken in the spool, including what is reserved for running executions."""
        return sum(execution.spool_bytes for execution in self.state.executions.values())

    def handle(self, event: ev.Event, now: Now) -> Sequence[out.Effect]:
        """Handle one event and return the effects, in order."""
        self._now, self._out = now, []
        match event:
            case ev.JournalDurable():
                for then, key in self._ledger.durable(event.position):
                    self._follow_up(then, key)
            case ev.Dispatch():
                self._dispatch(event)
            case ev.ShimStarted():
                self._shim_started(event)
            case ev.ProcessStarted():
                self._process_started(event)
            case ev.ShimExited():
                self._exited(event)
            case ev.ResultAck():
                self._ack(event.key)
            case ev.Cancel():
                self._cancel(event)
            case ev.Welcome():
                self._welcome(event)
            case ev.Forget():
                if event.low > self.state.low:
                    self._ledger.append(Low(event.low, now.wall_ms))
                    self._prune_live()
            case ev.Credit():
                self._reporting.grant(event.results)
                self._report()
            case ev.Disconnected():
                self.session = None
                self._reporting.close()
                self._rejected.clear()
            case ev.ShimAdopted():
                execution = self.state.executions.get(event.key)
                if execution and execution.open and execution.kill:
                    self._out.append(out.Stop(event.key, execution.kill.reason))
            case ev.JournalFailed():
                self._journal_failed(event.message)
            case ev.Stopping():
                self.draining = True
            case ev.Tick():
                if self._ledger.error:
                    self._ledger.rewrite()
        return self._out

    # --- dispatch -----------------------------------------------------------------------------------------------------

    def _dispatch(self, event: ev.Dispatch) -> None:
        key = event.key
        if event.session != self.session:
            self._out.append(out.Note("stale_dispatch_dropped", key))
        elif key in self.state.executions:
            self._answer_again(key)
        elif tombstone := self._known_tombstone(key):
            self._answer_from_tombstone(tombstone)
        elif event.seq <= self.state.low:
            self._send(
                out.Result(
                    key,
                    lost_report("journal_lost", admission.forgotten(event.seq)),
                    False,
                )
            )
        elif key in self._rejected:
            self._send(self._rejected[key])
        else:
            refusal = self._refusal(event)
            if refusal:
                self._reject(key, refusal)
            else:
                self._journal_intent(event)

    def _refusal(self, event: ev.Dispatch) -> ev.Refusal | None:
        return admission.refusal(
            event,
            newest_attempt=self.state.newest.get(event.key[0], event.key[1]),
            draining=self.draining,
            journal_error=self._ledger.error,
            running=self.running,
            spool_bytes=self.spool_bytes,
            config=self.config,
        )

    def _journal_intent(self, event: ev.Dispatch) -> None:
        deadline = self._now.boot_ms + event.start_within_ms if event.start_within_ms else None
        self.live[event.key] = RuntimeState(spec=event.spec, deadline_ms=deadline)
        intent = Intent(*event.key, event.seq, self.boot_id, event.digest, event.size, self._now.wall_ms)
        self._ledger.append(intent, then=FollowUp.START, key=event.key)

    def _reject(self, key: Key, refusal: ev.Refusal) -> None:
        rejected = out.Rejected(key, refusal.reason, refusal.message)
        # A refusal is not journaled: the server repeats a dispatch only in a new session, and only if it has not
        # received the refusal.
        self._rejected[key] = rejected
        if len(self._rejected) > self.config.rejected:
            del self._rejected[next(iter(self._rejected))]
        self._send(rejected)

    def _start(self, key: Key) -> None:
        live = self.live[key]
        live.stage = Stage.INTENT
        if live.stop:
            self.reject_unstarted(
                key,
                "canceled_before_start" if live.stop != "expired" else "expired",
                "it was canceled before it started",
            )
        elif live.deadline_ms is not None and self._now.boot_ms > live.deadline_ms:
            self.reject_unstarted(key, "expired", "writing the journal took longer than start_within")
        else:
            spec, live.spec, live.spawned = live.spec, None, True
            self._send(out.Accepted(key))
            self._out.append(out.Spawn(key, spec))

    def reject_unstarted(self, key: Key, reason: str, message: str) -> None:
        """End an execution that was not started, so that it never starts."""
        seq = self.state.executions[key].seq
        self.add_tombstone(Tombstone(*key, seq, Outcome.NEVER, reason, self._now.wall_ms, message=message))

    def _answer_again(self, key: Key) -> None:
        execution, live = self.state.executions[key], self.live[key]
        if live.stage is None:
            return  # it is answered when its INTENT is durable
        if execution.stage is Stage.ACKED:
            self._send(self._result(execution))
        elif live.stage is Stage.DONE:
            self._reporting.resend(key)
            self._report()
        else:
            self._send(out.Accepted(key))
            if live.process:
                self._send(live.process)

    # --- cancel -------------------------------------------------------------------------------------------------------

    def _cancel(self, event: ev.Cancel) -> None:
        key = event.key
        if event.session != self.session:
            self._out.append(out.Note("stale_cancel_dropped", key))
        elif key in self.state.executions:
            self._stop(key, event.reason)
        elif tombstone := self._known_tombstone(key):
            self._answer_from_tombstone(tombstone)
        else:
            self.cancel_unknown(event)

    def cancel_unknown(self, event: ev.Cancel) -> None:
        """Answer a Cancel for an execution that is not in the journal, so that it never starts later."""
        outcome, reason, message = admission.end_of_unknown(event, self.journal_id, self.state.low)
        self.add_tombstone(Tombstone(*event.key, event.seq, outcome, reason, self._now.wall_ms, message=message))

    def _stop(self, key: Key, reason: str) -> None:
        execution, live = self.state.executions[key], self.live[key]
        if not execution.open or (reason == "expired" and live.stage is not None):
            self._answer_again(key)  # the server had not received the acceptance: that is no reason to end it
        elif execution.stage is Stage.INTENT:
            live.stop = live.stop or reason  # it takes effect when the INTENT is durable or the shim is known
        elif execution.kill:
            if live.kill_noted:
                self._out.append(out.Stop(key, execution.kill.reason))
        else:
            live.kill_noted = False
            self._ledger.append(KillIntent(*key, reason, self._now.wall_ms), then=FollowUp.STOP, key=key)

    # --- reports of the runner ----------------------------------------------------------------------------------------

    def _shim_started(self, event: ev.ShimStarted) -> None:
        execution = self.state.executions.get(event.key)
        if execution is None or execution.stage is not Stage.INTENT:
            self._out.append(out.Note("unexpected_shim_start", event.key))
            return
        live = self.live[event.key]
        live.stage = Stage.RUNNING
        self._ledger.append(Started(*event.key, event.pid, event.starttime, event.boot_id, self._now.wall_ms))
        if live.stop or execution.kill:
            self._stop(event.key, live.stop)

    def _process_started(self, event: ev.ProcessStarted) -> None:
        live = self.live.get(event.key)
        if live is not None and live.process is None:
            live.process = out.Started(event.key, event.pid, event.started_at_ms)
            self._send(live.process)

    def _exited(self, event: ev.ShimExited) -> None:
        execution = self.state.executions.get(event.key)
        if execution is None or not execution.open:
            self._out.append(out.Note("duplicate_end_ignored", event.key))
            return
        self._ledger.append(Exit(*event.key, event.report, self._now.wall_ms), then=FollowUp.REPORT, key=event.key)

    def _ended(self, key: Key) -> None:
        live = self.live[key]
        live.stage = Stage.DONE
        if live.dropped:
            self._drop(key)
        elif self.session is not None:
            self._reporting.offer(key)
            self._report()

    # --- results ------------------------------------------------------------------------------------------------------

    def _result(self, execution: Execution) -> out.Result:
        report = execution.report or lost_report("journal_lost", "its report was lost with a damaged record")
        return out.Result(execution.key, report, execution.stage is Stage.DONE)

    def _report(self) -> None:
        for key in self._reporting.due():
            self._send(self._result(self.state.executions[key]))

    def _ack(self, key: Key) -> None:
        execution = self.state.executions.get(key)
        if execution is None or execution.stage is not Stage.DONE or self.live[key].stage is not Stage.DONE:
            return  # it was acknowledged before, or the result was read from a tombstone
        self.live[key].stage = Stage.ACKED
        self._ledger.append(Acked(*key, self._now.wall_ms), then=FollowUp.REMOVE, key=key)
        self._prune_live()
        self._reporting.discard(key)
        self._report()

    def _drop(self, key: Key) -> None:
        execution = self.state.executions[key]
        if execution.open or self.live[key].stage not in (Stage.DONE, Stage.ACKED):
            self.live[key].dropped = True
            return
        self._ledger.append(execution.tombstone(self._now.wall_ms), then=FollowUp.REMOVE, key=key)
        self._prune_live()
        self._reporting.discard(key)

    def add_tombstone(self, tombstone: Tombstone) -> None:
        """Write a tombstone and answer the server once it is durable."""
        self._unwritten_tombstones[tombstone.key] = tombstone
        self._ledger.append(tombstone, then=FollowUp.ANSWER, key=tombstone.key)
        self._prune_live()

    def _known_tombstone(self, key: Key) -> Tombstone | None:
        return self._unwritten_tombstones.get(key) or self.state.tombstones.get(key)

    def _answer_from_tombstone(self, tombstone: Tombstone) -> None:
        if tombstone.key in self._unwritten_tombstones:
            return  # it is answered when it is durable
        if tombstone.outcome is Outcome.NEVER:
            self._send(out.Rejected(tombstone.key, tombstone.reason, tombstone.message))
        else:
            report = Report(
                tombstone.outcome, tombstone.exit_code, tombstone.signal, tombstone.reason, tombstone.message
            )
            self._send(out.Result(tombstone.key, report, False))

    # --- sessions -----------------------------------------------------------------------------------------------------

    def _welcome(self, event: ev.Welcome) -> None:
        self.session = event.session
        self._rejected.clear()
        self._reporting.open(event.credits)
        if event.epoch > self.state.max_epoch:
            self._ledger.append(Seen(self.state.max_seq, event.epoch))
        decisions = {verdict.key: verdict.decision for verdict in event.verdicts}
        for key in list(self.state.executions):
            if key in self.state.executions:
                self._apply_verdict(key, decisions.get(key, ev.Decision.KEEP), listed=key in decisions)
        self._report()

    def _apply_verdict(self, key: Key, decision: ev.Decision, listed: bool) -> None:
        execution, live = self.state.executions[key], self.live[key]
        if decision is ev.Decision.DROP:
            self._drop(key)
        elif decision is ev.Decision.STOP and execution.open:
            self._stop(key, "canceled")
        elif decision is ev.Decision.ACK and execution.stage is Stage.DONE:
            self._ack(key)
        elif execution.stage is Stage.DONE and live.stage is Stage.DONE:
            self._reporting.offer(key)
        elif execution.stage is Stage.ACKED and listed and decision in (ev.Decision.KEEP, ev.Decision.STOP):
            self._send(self._result(execution))
        elif execution.open and live.process:
            self._send(live.process)

    def _send(self, message: out.Message) -> None:
        if self.session is not None:
            self._out.append(out.Send(message))

    def _prune_live(self) -> None:
        for key in [key for key in self.live if key not in self.state.executions]:
            del self.live[key]
            self._reporting.discard(key)

    # --- the journal --------------------------------------------------------------------------------------------------

    def _follow_up(self, then: FollowUp, key: Key) -> None:
        if then is FollowUp.START:
            self._start(key)
        elif then is FollowUp.STOP:
            execution = self.state.executions.get(key)
            if execution and execution.open and execution.kill:
                self.live[key].kill_noted = True
                self._out.append(out.Stop(key, execution.kill.reason))
        elif then is FollowUp.REPORT:
            self._ended(key)
        elif then is FollowUp.REMOVE:
            self._out.append(out.Remove(key))
        elif then is FollowUp.ANSWER:
            self._answer_from_tombstone(self._unwritten_tombstones.pop(key))

    def _journal_failed(self, message: str) -> None:
        first = not self._ledger.error
        self._ledger.fail(message, self._now.boot_ms)
        for _, key in self._ledger.withdraw(FollowUp.START):
            self.state.discard(key)
            del self.live[key]
            self._reject(key, ev.Refusal("journal_failed", message))
        for then, key in self._ledger.withdraw(FollowUp.STOP):
            # a full disk must not prevent a kill; the shim writes its own kill record before the first signal
            self._follow_up(then, key)
        if first:
            self._ledger.rewrite()
