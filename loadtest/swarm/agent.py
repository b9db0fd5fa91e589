"""Rules of one simulated agent: received messages and time in, messages out. It uses no sockets and no clock.

The rules are those of the real agent. INTENT is in the journal before Accepted is sent. A known id is never started
again. Every dispatch and cancel of the present session is answered; those of another session are dropped. A result is
kept, and sent again after every Welcome, until it is acknowledged.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from loadtest.swarm.commands import digest_of
from loadtest.swarm.journal import Entry, Journal, Tombstone
from loadtest.swarm.protocol import decode, encode
from loadtest.swarm.protocol.decode import Key
from loadtest.swarm.protocol.encode import ACKED, CANCELED, COMPLETED, DONE, FAILED, LOST, RUNNING, TIMEOUT, Report
from loadtest.swarm.shared import Shared

SIGTERM = 15
REJECTED_KEPT = 64


@dataclass(frozen=True, slots=True)
class Now:
    """The current time.

    Attributes:
        mono: Seconds of a monotonic clock.
        wall_ms: Milliseconds since 1970 UTC.
    """

    mono: float
    wall_ms: int


@dataclass(frozen=True, slots=True)
class Wake:
    """A request to call `Agent.due` at `at`, in seconds of the monotonic clock."""

    at: float
    key: Key
    report: Report


class Agent:
    """One simulated agent.

    Attributes:
        say: Messages to send, in order.
        wakes: Ends of executions that are due later.
        lie: `wrong` or `twice`, to prove that the harness finds false reports.
    """

    __slots__ = (
        "boot_id",
        "host_id",
        "hostname",
        "index",
        "journal",
        "lie",
        "pending",
        "rejected",
        "say",
        "session",
        "shared",
        "slots",
        "unacked",
        "waiting",
        "wakes",
        "window",
    )

    def __init__(
        self, index: int, host_id: str, hostname: str, journal_id: str, shared: Shared, *, slots: int = 16
    ) -> None:
        self.index, self.host_id, self.hostname, self.slots, self.shared = index, host_id, hostname, slots, shared
        self.boot_id = f"boot-{index}"
        self.journal = Journal(journal_id)
        self.session: int | None = None
        self.say: list[bytes] = []
        self.wakes: list[Wake] = []
        self.lie = ""
        self.pending: dict[Key, Report] = {}
        self.rejected: dict[Key, bytes] = {}
        self.waiting: deque[Key] = deque()
        self.unacked: set[Key] = set()
        self.window = 0

    # --- the session --------------------------------------------------------------------------------------------------

    def hello(self) -> bytes:
        journal = self.journal
        return encode.hello(
            host_id=self.host_id,
            hostname=self.hostname,
            journal_id=journal.journal_id,
            boot_id=self.boot_id,
            max_seq=journal.max_seq,
            max_epoch=journal.max_epoch,
            entries=journal.hello_entries(),
            slots=self.slots,
        )

    def disconnected(self) -> None:
        """End the session. Running commands continue."""
        self.session = None
        self.say.clear()
        self.waiting.clear()
        self.unacked.clear()
        self.rejected.clear()

    def welcome(self, message: decode.Welcome, now: Now) -> None:
        """Start a session. Credits of 0 mean no limit on unacknowledged results."""
        self.session, self.window = message.session, message.credits
        self.journal.max_epoch = max(self.journal.max_epoch, message.epoch)
        for key, one in list(self.journal.entries.items()):
            decision = message.verdicts.get(key)
            if decision == decode.DROP:
                self.pending.pop(key, None)
                self.journal.add_tombstone(
                    key, Tombstone(one.seq, one.report or Report(LOST, error_code="journal_lost"))
                )
            elif decision == decode.STOP and one.stage < DONE:
                self._stop(key, one, "canceled", now)
            elif decision == decode.ACK and one.stage == DONE:
                self._ack(key)
            elif one.stage == DONE:
                self._queue_result(key)
            elif one.stage == ACKED and decision in (decode.KEEP, decode.STOP):
                self._send_result(key, one)
            elif one.stage == RUNNING:
                self.say.append(encode.started(key, self.index + 1, one.started_ms))

    def handle(self, message: decode.Heard, now: Now) -> None:
        """Handle any message except Welcome and Drain, which the connection handles."""
        if isinstance(message, decode.Content):
            self._dispatch(message, now)
        elif isinstance(message, decode.Ack):
            self._ack((message.command_id, message.attempt))
        elif isinstance(message, decode.Cancel):
            self._cancel(message, now)
        elif isinstance(message, decode.Heartbeat):
            if not message.answer:
                self.say.append(encode.heartbeat(message.beat, answer=True, running=self.journal.running))
        elif isinstance(message, decode.Forget):
            self.journal.apply_low(message.low)
        elif isinstance(message, decode.Credit):
            self.window += message.results if self.window else 0
            self._send_due()

    # --- commands -----------------------------------------------------------------------------------------------------

    def _dispatch(self, content: decode.Content, now: Now) -> None:
        key, journal = (content.command_id, content.attempt), self.journal
        if content.session != self.session:
            self.shared.counts["dropped_of_other_sessions"] += 1
        elif key in journal.entries:
            self._answer_again(key, journal.entries[key])
        elif key in journal.tombstones:
            self._answer_from_tombstone(key, journal.tombstones[key])
        elif content.seq <= journal.low:
            self.say.append(
                encode.result(
                    key,
                    Report(LOST, error_code="journal_lost", error_message=f"dispatch number {content.seq} has ended"),
                )
            )
        elif key in self.rejected:
            self.say.append(self.rejected[key])
        elif journal.newest.get(content.command_id, 0) > content.attempt:
            self._reject(key, "duplicate", "this host already has a newer attempt")
        elif journal.running >= self.slots:
            self._reject(key, "busy", f"all {self.slots} slots are in use")
        else:
            self._start(content, now)

    def _start(self, content: decode.Content, now: Now) -> None:
        command_id, plan = self.shared.plan_of(content)
        plan = plan.on(self.index)
        key = (command_id, content.attempt)
        one = self.journal.add_intent(key, content.seq)
        self.say.append(encode.accepted(key))
        self.shared.started(command_id, self.index)
        one.stage, one.started_ms = RUNNING, now.wall_ms
        one.stdout = plan.digest(self.host_id, self.hostname, command_id)
        self.say.append(encode.started(key, self.index + 1, now.wall_ms))
        wanted = plan.pause(self.hostname)
        limit = content.timeout_ms / 1000 if content.timeout_ms else wanted
        ran = min(wanted, limit)
        finished = now.wall_ms + round(ran * 1000)
        if wanted > limit:
            report = Report(TIMEOUT, None, SIGTERM, "timed_out", "", now.wall_ms, finished, round(ran * 1e6), "timeout")
        else:
            good = plan.exit_code in (content.success_codes or (0,))
            code = "" if good else "exit_nonzero"
            report = Report(
                COMPLETED if good else FAILED, plan.exit_code, 0, code, "", now.wall_ms, finished, round(ran * 1e6)
            )
        if ran > 0:
            self.pending[key] = report
            self.wakes.append(Wake(now.mono + ran, key, report))
        else:
            self._end(key, one, report)

    def due(self, wake: Wake) -> None:
        """Handle a Wake whose time has come. It has no effect if the execution has ended before."""
        one = self.journal.entries.get(wake.key)
        if one is not None and self.pending.get(wake.key) is wake.report:
            self._end(wake.key, one, wake.report)

    def _end(self, key: Key, one: Entry, report: Report) -> None:
        self.pending.pop(key, None)
        one.stage, one.report = DONE, report
        if self.lie == "wrong":
            one.stdout = digest_of(_LIE)
        if self.lie == "twice":
            self.shared.started(key[0], self.index)
            self.say.append(encode.result(key, report, one.stdout))
        if self.session is not None:
            self._queue_result(key)

    def _stop(self, key: Key, one: Entry, reason: str, now: Now) -> None:
        outcome, code, killed = (
            (TIMEOUT, "timed_out", "timeout") if reason == "timeout" else (CANCELED, "canceled", "canceled")
        )
        lasted = max(0, now.wall_ms - one.started_ms)
        self._end(
            key, one, Report(outcome, None, SIGTERM, code, "", one.started_ms, now.wall_ms, lasted * 1000, killed)
        )

    def _cancel(self, cancel: decode.Cancel, now: Now) -> None:
        key, journal = (cancel.command_id, cancel.attempt), self.journal
        one = journal.entries.get(key)
        if cancel.session != self.session:
            self.shared.counts["dropped_of_other_sessions"] += 1
        elif one is not None:
            if one.stage < DONE:
                self._stop(key, one, cancel.reason, now)
            else:
                self._answer_again(key, one)
        elif key in journal.tombstones:
            self._answer_from_tombstone(key, journal.tombstones[key])
        else:
            if cancel.journal_id != journal.journal_id or cancel.seq <= journal.low:
                tombstone = Tombstone(cancel.seq, Report(LOST, error_code="journal_lost"))
            else:
                reason = "expired" if cancel.reason == "expired" else "canceled_before_start"
                tombstone = Tombstone(cancel.seq, None, reason, "its cancel arrived before its dispatch")
            journal.add_tombstone(key, tombstone)
            self._answer_from_tombstone(key, tombstone)

    # --- answers ------------------------------------------------------------------------------------------------------

    def _answer_again(self, key: Key, one: Entry) -> None:
        self.shared.counts["dispatches_met_before"] += 1
        if one.stage == DONE:
            self.unacked.discard(key)
            self._queue_result(key)
        elif one.stage == ACKED:
            self._send_result(key, one)
        else:
            self.say += [encode.accepted(key), encode.started(key, self.index + 1, one.started_ms)]

    def _answer_from_tombstone(self, key: Key, tombstone: Tombstone) -> None:
        if tombstone.report is None:
            self.say.append(encode.rejected(key, tombstone.reason, tombstone.message))
        else:
            self.say.append(encode.result(key, tombstone.report))

    def _reject(self, key: Key, reason: str, message: str) -> None:
        self.rejected[key] = encode.rejected(key, reason, message)
        if len(self.rejected) > REJECTED_KEPT:
            del self.rejected[next(iter(self.rejected))]
        self.say.append(self.rejected[key])
        self.shared.counts["rejected"] += 1

    def _ack(self, key: Key) -> None:
        if self.journal.ack(key):
            self.shared.counts["acked"] += 1
        self.unacked.discard(key)
        self._send_due()

    def _queue_result(self, key: Key) -> None:
        if key not in self.unacked and key not in self.waiting:
            self.waiting.append(key)
        self._send_due()

    def _send_due(self) -> None:
        while self.waiting and (not self.window or len(self.unacked) < self.window):
            key = self.waiting.popleft()
            one = self.journal.entries.get(key)
            if one is not None and one.stage == DONE:
                self.unacked.add(key)
                self._send_result(key, one)

    def _send_result(self, key: Key, one: Entry) -> None:
        report = one.report or Report(LOST, error_code="journal_lost")
        self.shared.counts["results_sent"] += 1
        self.say.append(encode.result(key, report, one.stdout))


_LIE = b"a lie"
