"""The agent's decisions: events in, effects out; no clock, no files, no sockets.

The rules that it keeps, whatever dies at whatever instant:
- INTENT is durable before the fork, KILL_INTENT before the first signal, EXIT before the result is sent.
- An id met before is never started again: the journal's executions are asked first, then the tombstones, then `seq <=
  low`.
- Every Dispatch and every Cancel of the present session gets an answer; those of another session are dropped.
- A result is sent again after every Welcome until it is acknowledged.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.core import effects as out
from agent.core import events as ev
from agent.core.executions import Execution
from agent.core.journal import Acked, Exit, Intent, KillIntent, Low, Seen, Started, Tombstone
from agent.core.ledger import Ledger, Then
from agent.core.live import Config, Live
from agent.core.model import Key, Now, Outcome, Report, Stage, lost
from agent.core.reporting import Reporting
from agent.core.state import State


class Engine:
    def __init__(self, state: State, journal_id: str, boot_id: str, config: Config | None = None) -> None:
        """state: the fold of a journal all of whose records are durable."""
        self.state, self.journal_id, self.boot_id = state, journal_id, boot_id
        self.config = config or Config()
        self.session: int | None = None
        self.draining = False
        self.live: dict[Key, Live] = {
            key: Live(stage=execution.stage, spawned=True, kill_noted=True)
            for key, execution in state.executions.items()
        }
        self._reporting = Reporting()
        self._rejected: dict[Key, out.Rejected] = {}
        self._buried: dict[Key, Tombstone] = {}  # not durable yet
        self._out: list[out.Effect] = []
        self._ledger = Ledger(
            state, self.config.rewrite_records, self.config.retry_ms, lambda effect: self._out.append(effect)
        )
        self._now = Now(0, 0)

    # --- what others may ask ------------------------------------------------------------------------------------------

    def hello(self) -> out.Hello:
        """What to say first on a new stream."""
        entries = []
        for key, execution in self.state.executions.items():
            stage = self.live[key].stage
            if stage is not None:
                outcome = execution.report.outcome if execution.report and stage >= Stage.DONE else Outcome.NEVER
                entries.append(out.Entry(key, execution.seq, stage, outcome))
        return out.Hello(self.journal_id, self.state.max_seq, self.state.max_epoch, entries)

    @property
    def running(self) -> int:
        return sum(execution.open for execution in self.state.executions.values())

    @property
    def spool_bytes(self) -> int:
        """Room taken in the spool, that promised to running executions included."""
        return sum(execution.spool_bytes for execution in self.state.executions.values())

    def handle(self, event: ev.Event, now: Now) -> Sequence[out.Effect]:
        """Take in one event; what to do about it, in order."""
        self._now, self._out = now, []
        match event:
            case ev.JournalDurable():
                for then, key in self._ledger.durable(event.position):
                    self._go_on(then, key)
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

    # --- the server wants something run
    # ---------------------------------------------------------------------------------

    def _dispatch(self, event: ev.Dispatch) -> None:
        key = event.key
        if event.session != self.session:
            self._out.append(out.Note("dispatch of another session dropped", key))
        elif key in self.state.executions:
            self._repeat(key)
        elif tomb := self._tomb(key):
            self._answer_tomb(tomb)
        elif event.seq <= self.state.low:
            self._send(
                out.Result(
                    key,
                    lost("journal_lost", f"dispatch number {event.seq} is over, and this host no longer knows how"),
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
                self._intend(event)

    def _refusal(self, event: ev.Dispatch) -> ev.Refusal | None:
        command_id, attempt = event.key
        if self.state.newest.get(command_id, attempt) > attempt:
            return ev.Refusal(
                "duplicate", f"attempt {self.state.newest[command_id]} of this command has been seen already"
            )
        if self.draining:
            return ev.Refusal("draining", "the agent is shutting down")
        if event.refusal:
            return event.refusal
        if self._ledger.error:
            return ev.Refusal("journal_failed", self._ledger.error)
        if self.running >= self.config.slots:
            return ev.Refusal("busy", f"all {self.config.slots} slots are taken")
        if self.spool_bytes + event.size > self.config.spool_bytes:
            return ev.Refusal(
                "spool_full",
                f"{self.spool_bytes} of {self.config.spool_bytes} bytes are taken, {event.size} more are needed",
            )
        return None

    def _intend(self, event: ev.Dispatch) -> None:
        deadline = self._now.boot_ms + event.start_within_ms if event.start_within_ms else None
        self.live[event.key] = Live(spec=event.spec, deadline_ms=deadline)
        intent = Intent(*event.key, event.seq, self.boot_id, event.digest, event.size, self._now.wall_ms)
        self._ledger.append(intent, then=Then.START, key=event.key)

    def _reject(self, key: Key, refusal: ev.Refusal) -> None:
        rejected = out.Rejected(key, refusal.reason, refusal.message)
        # a refusal is not journaled; the server repeats a dispatch only in a new session, and only while it has not
        # seen this
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
                "its cancel came before its start",
            )
        elif live.deadline_ms is not None and self._now.boot_ms > live.deadline_ms:
            self.reject_unstarted(key, "expired", "the journal took longer than start_within")
        else:
            spec, live.spec, live.spawned = live.spec, None, True
            self._send(out.Accepted(key))
            self._out.append(out.Spawn(key, spec))

    def reject_unstarted(self, key: Key, reason: str, message: str) -> None:
        seq = self.state.executions[key].seq
        self.add_tombstone(Tombstone(*key, seq, Outcome.NEVER, reason, self._now.wall_ms, message=message))

    def _repeat(self, key: Key) -> None:
        execution, live = self.state.executions[key], self.live[key]
        if live.stage is None:
            return  # its answer comes when its INTENT is durable
        if execution.stage is Stage.ACKED:
            self._send(self._result(execution))
        elif live.stage is Stage.DONE:
            self._reporting.again(key)
            self._report()
        else:
            self._send(out.Accepted(key))
            if live.process:
                self._send(live.process)

    # --- the server wants something stopped
    # -----------------------------------------------------------------------------

    def _cancel(self, event: ev.Cancel) -> None:
        key = event.key
        if event.session != self.session:
            self._out.append(out.Note("cancel of another session dropped", key))
        elif key in self.state.executions:
            self._stop(key, event.reason)
        elif tomb := self._tomb(key):
            self._answer_tomb(tomb)
        else:
            self.cancel_unknown(event)

    def cancel_unknown(self, event: ev.Cancel) -> None:
        if event.journal_id != self.journal_id:
            outcome, reason = Outcome.LOST, "journal_lost"
            message = "it was given to another journal than this host has now"
        elif event.seq <= self.state.low:
            outcome, reason = Outcome.LOST, "journal_lost"
            message = f"dispatch number {event.seq} is over, and this host no longer knows how"
        else:
            outcome, reason = Outcome.NEVER, "expired" if event.reason == "expired" else "canceled_before_start"
            message = "it had not arrived when its cancel did"
        self.add_tombstone(Tombstone(*event.key, event.seq, outcome, reason, self._now.wall_ms, message=message))

    def _stop(self, key: Key, reason: str) -> None:
        execution, live = self.state.executions[key], self.live[key]
        if not execution.open or (reason == "expired" and live.stage is not None):
            self._repeat(key)  # of what it has accepted the server had not heard: no reason to end it
        elif execution.stage is Stage.INTENT:
            live.stop = live.stop or reason  # carried out when its INTENT is durable, or when its shim is known
        elif execution.kill:
            if live.kill_noted:
                self._out.append(out.Stop(key, execution.kill.reason))
        else:
            live.kill_noted = False
            self._ledger.append(KillIntent(*key, reason, self._now.wall_ms), then=Then.STOP, key=key)

    # --- the runner reports
    # ---------------------------------------------------------------------------------------------

    def _shim_started(self, event: ev.ShimStarted) -> None:
        execution = self.state.executions.get(event.key)
        if execution is None or execution.stage is not Stage.INTENT:
            self._out.append(out.Note("shim started out of turn", event.key))
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
            self._out.append(out.Note("a second end of the same execution", event.key))
            return
        self._ledger.append(Exit(*event.key, event.report, self._now.wall_ms), then=Then.REPORT, key=event.key)

    def _ended(self, key: Key) -> None:
        live = self.live[key]
        live.stage = Stage.DONE
        if live.dropped:
            self._drop(key)
        elif self.session is not None:
            self._reporting.offer(key)
            self._report()

    # --- results
    # --------------------------------------------------------------------------------------------------------

    def _result(self, execution: Execution) -> out.Result:
        report = execution.report or lost("journal_lost", "its report was lost with a damaged record")
        return out.Result(execution.key, report, execution.stage is Stage.DONE)

    def _report(self) -> None:
        for key in self._reporting.due():
            self._send(self._result(self.state.executions[key]))

    def _ack(self, key: Key) -> None:
        execution = self.state.executions.get(key)
        if execution is None or execution.stage is not Stage.DONE or self.live[key].stage is not Stage.DONE:
            return  # acknowledged before, or an answer from a tombstone
        self.live[key].stage = Stage.ACKED
        self._ledger.append(Acked(*key, self._now.wall_ms), then=Then.REMOVE, key=key)
        self._prune_live()
        self._reporting.settle(key)
        self._report()

    def _drop(self, key: Key) -> None:
        execution = self.state.executions[key]
        if execution.open or self.live[key].stage not in (Stage.DONE, Stage.ACKED):
            self.live[key].dropped = True
            return
        self._ledger.append(execution.tomb(self._now.wall_ms), then=Then.REMOVE, key=key)
        self._prune_live()
        self._reporting.settle(key)

    def add_tombstone(self, tomb: Tombstone) -> None:
        self._buried[tomb.key] = tomb
        self._ledger.append(tomb, then=Then.ANSWER, key=tomb.key)
        self._prune_live()

    def _tomb(self, key: Key) -> Tombstone | None:
        return self._buried.get(key) or self.state.tombs.get(key)

    def _answer_tomb(self, tomb: Tombstone) -> None:
        if tomb.key in self._buried:
            return  # its answer comes when it is durable
        if tomb.outcome is Outcome.NEVER:
            self._send(out.Rejected(tomb.key, tomb.reason, tomb.message))
        else:
            report = Report(tomb.outcome, tomb.exit_code, tomb.signal, tomb.reason, tomb.message)
            self._send(out.Result(tomb.key, report, False))

    # --- sessions
    # -------------------------------------------------------------------------------------------------------

    def _welcome(self, event: ev.Welcome) -> None:
        self.session = event.session
        self._rejected.clear()
        self._reporting.open(event.credits)
        if event.epoch > self.state.max_epoch:
            self._ledger.append(Seen(self.state.max_seq, event.epoch))
        decisions = {verdict.key: verdict.decision for verdict in event.verdicts}
        for key in list(self.state.executions):
            if key in self.state.executions:
                self._judge(key, decisions.get(key, ev.Decision.KEEP), told=key in decisions)
        self._report()

    def _judge(self, key: Key, decision: ev.Decision, told: bool) -> None:
        execution, live = self.state.executions[key], self.live[key]
        if decision is ev.Decision.DROP:
            self._drop(key)
        elif decision is ev.Decision.STOP and execution.open:
            self._stop(key, "canceled")
        elif decision is ev.Decision.ACK and execution.stage is Stage.DONE:
            self._ack(key)
        elif execution.stage is Stage.DONE and live.stage is Stage.DONE:
            self._reporting.offer(key)
        elif execution.stage is Stage.ACKED and told and decision in (ev.Decision.KEEP, ev.Decision.STOP):
            self._send(self._result(execution))
        elif execution.open and live.process:
            self._send(live.process)

    def _send(self, message: out.Message) -> None:
        if self.session is not None:
            self._out.append(out.Send(message))

    def _prune_live(self) -> None:
        for key in [key for key in self.live if key not in self.state.executions]:
            del self.live[key]
            self._reporting.settle(key)

    # --- the journal
    # ----------------------------------------------------------------------------------------------------

    def _go_on(self, then: Then, key: Key) -> None:
        if then is Then.START:
            self._start(key)
        elif then is Then.STOP:
            execution = self.state.executions.get(key)
            if execution and execution.open and execution.kill:
                self.live[key].kill_noted = True
                self._out.append(out.Stop(key, execution.kill.reason))
        elif then is Then.REPORT:
            self._ended(key)
        elif then is Then.REMOVE:
            self._out.append(out.Remove(key))
        elif then is Then.ANSWER:
            self._answer_tomb(self._buried.pop(key))

    def _journal_failed(self, message: str) -> None:
        first = not self._ledger.error
        self._ledger.fail(message, self._now.boot_ms)
        for _, key in self._ledger.withdraw(Then.START):
            self.state.discard(key)
            del self.live[key]
            self._reject(key, ev.Refusal("journal_failed", message))
        for then, key in self._ledger.withdraw(Then.STOP):
            # not killing on a full disk would help nobody; the shim writes its own kill record before the first signal
            self._go_on(then, key)
        if first:
            self._ledger.rewrite()
