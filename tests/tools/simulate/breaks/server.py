"""Breaks of the server: its order of writes, its rules, its writer and its lease."""

from __future__ import annotations

import server.cluster.lease as server_lease
import server.conductor as server_conductor
import server.core.admission as server_admission
import server.core.engine as server_engine
import server.core.executions as server_executions
import server.core.hosts as server_hosts
import server.core.retry as server_retry
import server.core.rollback as server_rollback
import server.core.state as server_state
import server.core.tasks as server_tasks
import server.core.timing.mass_disconnect as server_mass_disconnect
import server.core.write_order as server_order
import server.store.lanes as server_lanes
import server.store.lease as server_lease_row
import server.store.writer as server_writer
from tests.tools.simulate.breaks.aims import CLOCKS, GONE, LATE, OLDER, OUTAGES, PASSING, SILENCE, STOPS, TWINS, WIPED
from tests.tools.simulate.breaks.apply import Break

SERVER_BREAKS = (
    # the server's order
    Break(
        "acts are carried out before the commit",
        server_conductor.Conductor,
        "submit",
        "self._queue.put(effects.saves, lambda: self._carry_out(effects), order_of(effects.saves, effects.acts))",
        "(self._queue.put(effects.saves, None, order_of(effects.saves, effects.acts)), self._carry_out(effects))",
    ),
    Break(
        "the writer confirms a batch that the database refused to take",
        server_writer.Writer,
        "_write",
        "self._retries += 1",
        "return",
    ),
    Break(
        "the task's counters are saved one transaction late",
        server_tasks,
        "settle",
        "state.tally.counts(live_task.slot)",
        "task.counts if task.counts[0] else state.tally.counts(live_task.slot)",
    ),
    # the server's rules
    Break(
        "a hello that comes late is believed at once",
        server_admission,
        "mark_suspect",
        "state.now.mono + state.limits.suspect_until",
        "state.now.mono",
        first=1430,
        aim=STOPS,
    ),
    Break(
        "a late result is acknowledged and not kept",
        server_executions,
        "_unsolicited",
        "state.save(_late_report(state, event, claimed=claimed))",
        "pass",
        first=15,
    ),
    Break(
        "an output is not saved with its result", server_executions, "result", "state.save(SaveOutput(output))", "pass"
    ),
    Break(
        "unreachable is treated as lost",
        server_hosts,
        "disconnected",
        "in host.open.values():",
        "in list(host.open.values()):\n        lose(state, execution, 'silent'); continue",
    ),
    Break(
        "what is given up is called completed",
        server_admission,
        "lose",
        "state.step(execution, ExecutionStep.LOSE)",
        "state.step(execution, ExecutionStep.COMPLETE)",
    ),
    Break(
        "lost_after is ignored",
        server_admission,
        "renew_deadline",
        "wait = limits.lost_after",
        "wait = limits.cancel_retry",
    ),
    Break(
        "what is away is never given up",
        server_engine,
        "_overdue",
        'admission.lose(state, execution, "silent")',
        "pass",
        first=20,
    ),
    Break(
        "a dispatch number is given again after a restart",
        server_state.EngineState,
        "next_seq",
        "self.save(SaveSeq(host.host_id, host.seq_reserved))",
        "pass",
    ),
    Break(
        "a dispatch number is given again after a restore",
        server_hosts,
        "connected",
        "host.seq, host.seq_seen = max(host.seq, seen), max(host.seq_seen, seen)",
        "host.seq_seen = max(host.seq_seen, event.max_seq)",
    ),
    Break(
        "another journal is trusted",
        server_hosts,
        "_resync",
        "row.journal_id != host.journal_id",
        "False",
        aim=WIPED,
        first=10,
    ),
    Break(
        "nobody resumes after a restart",
        server_tasks,
        "_expect_host",
        "state.deadlines.set(execution, state.now.mono + state.limits.lost_after)",
        "pass",
        aim=GONE,
        first=5,
    ),
    Break(
        "an entry of a Hello gets no verdict",
        server_hosts,
        "_verdicts",
        "verdicts.append(Verdict(command_id, attempt, decision))",
        "verdicts[:] = [Verdict(command_id, attempt, decision)]",
    ),
    # time, retries, people, older databases
    Break(
        "an expiry is not taken back",
        server_admission,
        "clear_expiry",
        'row.cancel_reason == "expired"',
        "False",
        aim=LATE,
    ),
    Break(
        "the time to start counts from the decision",
        server_admission,
        "expire_if_not_accepted",
        "now if departed is None else departed",
        "float('-inf')",
        aim=OUTAGES,
    ),
    Break(
        "a task's time is read off the clock on the wall",
        server_tasks,
        "_track_elapsed",
        "task.spent_ms / 1000",
        "(state.now.wall_ms - task.started_at) / 1000",
        aim=CLOCKS,
    ),
    Break(
        "what an older database believes unsent may be called never started",
        server_rollback,
        "check_unsent",
        "if execution is None:",
        "if True:",
        aim=OLDER,
    ),
    Break(
        "a restored database goes on as if nothing had happened since",
        server_rollback,
        "restored",
        'lose(state, execution, "restored")',
        "pass",
        aim=OLDER,
    ),
    Break(
        "what may have run is tried again",
        server_retry,
        "_is_retryable",
        "policy.idempotent or not may_have_run",
        "True",
    ),
    Break(
        "many hosts gone at once are lost like one",
        server_mass_disconnect,
        "record_disconnect",
        "state.loss_suspended_until = now + limits.mass_pause",
        "pass",
        aim=SILENCE,
    ),
    Break(
        "what is canceled by force is called canceled",
        server_admission,
        "_stop_one",
        'lose(state, execution, "force_canceled")',
        "state.step(execution, ExecutionStep.CANCEL)",
        aim=SILENCE | {"longest": 40.0, "tasks": 8},
        first=35,
    ),
    Break(
        "the agent is told to forget too much",
        server_state.EngineState,
        "forget",
        "default=host.seq_seen + 1) - 1",
        "default=host.seq_seen + 1)",
        aim={"forget_every": 1},
    ),
    # what passes what in the writer
    Break(
        "a unit passes what it builds on",
        server_lanes.Lanes,
        "add",
        "self._held.keys().isdisjoint(order.behind)",
        "True",
        aim=PASSING,
    ),
    Break(
        "what waits in line is written before what passed it",
        server_lanes.Lanes,
        "take",
        "(self._passing, self._line)",
        "(self._line, self._passing)",
        aim=PASSING | {"small_rows": 4},
    ),
    Break(
        "a unit in line is forgotten while it waits",
        server_lanes.Lanes,
        "add",
        "self._held.update(order.holds)",
        "pass",
        aim=PASSING,
    ),
    Break(
        "a dispatch passes the reservation of its number",
        server_order,
        "order_of",
        "elif isinstance(save, SaveSeq | DeleteHost | DeleteOrphans):\n            holds.add(save.host_id)",
        "elif isinstance(save, SaveSeq | DeleteHost | DeleteOrphans):\n            pass",
        aim=PASSING,
    ),
    Break(
        "a dispatch passes the Welcome of its session",
        server_order,
        "order_of",
        "holds.add(act.host_id)",
        "pass",
        aim=PASSING,
    ),
    # two servers
    Break(
        "a lease is taken while its holder renews it", server_lease_row, "judge", "lease.left > 0", "False", aim=TWINS
    ),
    Break(
        "whoever has a data directory takes the lease of another one",
        server_lease._ForeignLease,
        "expired",
        "ours.place and lease.holder.place == ours.place",
        "ours.place",
        aim=TWINS,
    ),
    Break("a takeover begins no new epoch", server_lease_row, "next_epoch", "1 + max", "max", aim=TWINS),
)
