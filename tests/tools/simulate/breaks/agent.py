"""Breaks of the agent: its journal, its sessions and its recovery."""

from __future__ import annotations

import agent.core.admission as agent_admission
import agent.core.engine as agent_engine
import agent.recovery as agent_recovery
import agent.storage.journal as agent_journal
import agent.storage.journal_file as agent_journal_file
import server.core.hosts as server_hosts
import server.core.state as server_state
from tests.tools.simulate.breaks.aims import DUPLICATES, LATE, POWER, WIPED
from tests.tools.simulate.breaks.apply import Break

NO_DIRECTORIES = Break(
    "what lies in the spool is not asked", agent_recovery, "unknown_directories", "spool.held()", "()"
)
NO_FORGET = Break(
    "nothing is ever said to be over", server_state.EngineState, "forget", "host.session is not None and", "False and"
)

AGENT_BREAKS = (
    # the agent's journal
    Break("a record is not synced", agent_journal.Journal, "_append", "self.disk.sync(self._fd)", "pass"),
    Break(
        "INTENT is not synced before the fork",
        agent_journal.Journal,
        "_append",
        "self.disk.sync(self._fd)",
        (
            'any(type(record).__name__ == "Exit" for append in appends for record in append.records) and '
            "self.disk.sync(self._fd)"
        ),
        aim=POWER,
        given=NO_DIRECTORIES,
    ),
    Break(
        "the start does not wait for its INTENT",
        agent_engine.Engine,
        "_journal_intent",
        "self._ledger.append(intent, then=FollowUp.START, key=event.key)",
        "(self._ledger.append(intent), self._start(event.key))",
        aim=POWER | {"enabled": frozenset({"host_reboot", "disk_slow", "link_cut"})},
        given=NO_DIRECTORIES,
    ),
    Break(
        "the result does not wait for its EXIT",
        agent_engine.Engine,
        "_exited",
        "self._ledger.append(Exit(*event.key, event.report, self._now.wall_ms), then=FollowUp.REPORT, key=event.key)",
        "(self._ledger.append(Exit(*event.key, event.report, self._now.wall_ms)), self._ended(event.key))",
    ),
    Break(
        "a dispatch of an older session is taken",
        agent_engine.Engine,
        "_dispatch",
        "event.session != self.session",
        "False",
        aim=DUPLICATES,
        given=NO_FORGET,
    ),
    Break(
        "a refusal is forgotten",
        agent_engine.Engine,
        "_reject",
        "self._rejected[key] = rejected",
        "self._rejected[None] = rejected",
        aim=DUPLICATES,
    ),
    Break(
        "another journal answers a cancel with never started",
        agent_admission,
        "end_of_unknown",
        "event.journal_id != journal_id",
        "False",
        aim=WIPED,
        given=Break(
            "a cancel is asked of another journal",
            server_hosts,
            "_resync",
            "row.journal_id != host.journal_id",
            "row.journal_id != host.journal_id and row.cancel_requested_at is None",
        ),
    ),
    Break(
        "a failed sync is tried again as if nothing had happened",
        agent_journal.Journal,
        "_append",
        "self._broken = True",
        "return report(JournalDurable(appends[-1].position))",
        first=12,
    ),
    Break(
        "garbage at the end of the journal is taken for a record",
        agent_journal_file,
        "_record_at",
        "zlib.crc32(payload) != checksum",
        "False",
        first=18,
    ),
    Break(
        "what had not ended is run again after a restart of the agent",
        agent_engine.Engine,
        "__init__",
        (
            "RuntimeState(stage=execution.stage, spawned=True, kill_noted=True)\n"
            "        for key, execution in state.executions.items()"
        ),
        (
            "RuntimeState() for key, execution in list(state.executions.items()) if not execution.open or not "
            "state.executions.pop(key)"
        ),
    ),
    Break("a result is sent once only", agent_engine.Engine, "_apply_verdict", "self._reporting.offer(key)", "pass"),
    Break(
        "a tombstone is forgotten",
        agent_engine.Engine,
        "_dispatch",
        "tombstone := self._known_tombstone(key)",
        "tombstone := None",
        aim=DUPLICATES | {"acked": 1},
        given=NO_FORGET,
        first=5,
    ),
    Break(
        "a torn record is passed over under the old journal id",
        agent_journal,
        "open_journal",
        "if header is not None and not damage:",
        "if header is not None:",
        first=40,
    ),
    Break(
        "what was accepted late is ended as expired",
        agent_engine.Engine,
        "_stop",
        ' or (reason == "expired" and live.stage is not None)',
        "",
        aim=LATE | {"enabled": frozenset({"link_slow", "link_one_way", "link_cut", "db_down"}), "slots": 16},
        first=38,
    ),
)
