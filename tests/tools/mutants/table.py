"""The mutants. Each changes one line that keeps a promise; its tests must fail, and the simulator alone is
not enough.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """One mutant.

    Attributes:
        promise: What the line keeps.
        file: Path in the tree.
        right: A piece of the file that occurs exactly once.
        wrong: The text that replaces it.
        tests: Names for pytest; at least one test must fail.
        pure: Run with the Python modules of _speedups, if the line is in one of them.
    """

    promise: str
    file: str
    right: str
    wrong: str
    tests: tuple[str, ...]
    pure: bool = False


MUTANTS = (
    # --- those that survived an earlier trial
    # ---------------------------------------------------------------------------------
    Mutant(
        "a re-run of what has not started leaves out what has run", "server/web/service/rerun_task.py",
        "        and not reason(row.error_code).started", "        and True",
        ("tests/web/api/tasks/test_retry_policy.py",),
    ),
    Mutant(
        "a re-run looks at every page of rows", "server/web/service/rerun_task.py",
        "        if len(page) < PAGE:\n            return", "        return",
        ("tests/web/api/tasks/test_retry_policy.py",),
    ),
    Mutant(
        "no result credits are granted while the writer is full", "server/rpc/session/result_credits.py",
        "if not self._reduced or self._queue.full:", "if not self._reduced:",
        ("tests/rpc/session/test_result_credits.py",),
    ),
    Mutant(
        "openings of connections are remembered up to a limit", "server/rpc/connection/opening_cache.py",
        "        if len(self._known) > MAX_TEMPLATES:\n            self._known.popitem(last=False)\n", "",
        ("tests/rpc/connection/test_opening_cache.py",),
    ),
    Mutant(
        "a call with a deadline does not take the short path", "server/rpc/connection/opening_cache.py",
        '        and "grpc-timeout" not in headers\n', "",
        ("tests/rpc/connection/test_opening_cache.py",),
    ),
    Mutant(
        "a shim's claim counts in the boot in which it was made", "agent/recovery.py",
        "    if claim.boot_id != boot_id:", "    if False:",
        ("tests/agent/test_lookup_errors.py",),
    ),
    # --- what was accepted can never be called never started
    # -------------------------------------------------------------------
    Mutant(
        "a Rejected after Accepted is a contradiction", "server/core/executions.py",
        "row.status is not ExecutionStatus.DISPATCHED or row.accepted_at is not None", "row.status is not ExecutionStatus.DISPATCHED",  # noqa: E501
        ("tests/core/engine/test_denials.py",),
    ),
    Mutant(
        "what a Hello names as ended is accepted", "server/core/hosts.py",
        "        else:\n            accept(state, execution)  #", "        elif entry.stage is JournalStage.INTENT:\n            accept(state, execution)  #",  # noqa: E501
        ("tests/core/engine/test_denials.py",),
    ),
    Mutant(
        "repeating a denial does not put off the end of an execution in doubt", "server/core/executions.py",
        "        if execution.suspect_until is None:\n            mark_suspect(state, execution)",
        "        mark_suspect(state, execution)",
        ("tests/core/engine/test_denials.py",),
    ),
    Mutant(
        "messages of a session that was replaced do not count", "server/rpc/session/streams.py",
        " and stream.session.ended in COUNTED:", ":",
        ("tests/rpc/session/test_replaced_session.py",),
    ),
    # --- what one host says is believed within bounds, and of this host alone
    # --------------------------------------------------
    Mutant(
        "an epoch that no server can have is not believed", "server/rpc/session/hello.py",
        "if value.max_epoch > EPOCH_MAX:", "if False:",
        ("tests/rpc/inputs/test_numbers.py::test_an_epoch_claimed_by_one_host_affects_only_this_host[sqlite]",),
    ),
    Mutant(
        "an epoch that a host has claimed before is no news at the next start", "server/core/rollback.py",
        "event.max_epoch > max(state.epoch, host.epoch_seen)", "event.max_epoch > state.epoch",
        ("tests/rpc/inputs/test_numbers.py::test_an_epoch_claimed_by_one_host_affects_only_this_host[sqlite]",),
    ),
    Mutant(
        "dispatch numbers are believed within a leap", "server/core/rollback.py",
        "min(event.max_seq, host.seq_reserved + SEQ_LEAP, SEQ_MAX)", "event.max_seq",
        ("tests/rpc/inputs/test_numbers.py::test_a_dispatch_number_is_accepted_within_a_bounded_distance[sqlite]",),
    ),
    Mutant(
        "a signal is one that there is", "server/rpc/session/decode.py",
        "signal=signal if 0 < signal <= SIGNAL_MAX else None", "signal=signal or None",
        ("tests/rpc/inputs/test_bounds.py",),
    ),
    Mutant(
        "a moment is one that is in a calendar", "server/rpc/session/decode.py",
        "return ms if 0 < ms <= TIME_MAX_MS else None", "return ms if 0 < ms else None",
        ("tests/rpc/inputs/test_bounds.py",),
    ),
    # --- a stored number never keeps a server from starting
    # ---------------------------------------------------------------------
    Mutant(
        "a lease of an epoch that no server reached is replaced", "server/store/lease.py",
        "if not (isinstance(lease.epoch, int) and 0 <= lease.epoch <= EPOCH_SAFE):", "if not isinstance(lease.epoch, int):",  # noqa: E501
        ("tests/store/sqlite/test_store.py::TestSqlite::test_a_lease_that_no_server_wrote_keeps_no_server_out",),
    ),
    Mutant(
        "a stored fact about epochs is believed within a leap", "server/store/lease.py",
        "*(epoch for epoch in facts if epoch <= most)", "*facts",
        ("tests/store/sqlite/test_store.py::TestSqlite::test_a_fact_about_epochs_is_believed_within_a_leap",),
    ),
    Mutant(
        "a lease lasts no longer than leases may", "server/store/lease.py",
        "min(self.until_ms - self.now_ms, self.length_ms, LENGTH_MAX_MS)", "min(self.until_ms - self.now_ms, self.length_ms)",  # noqa: E501
        ("tests/store/sqlite/test_store.py::TestSqlite::test_a_length_that_no_lease_has_runs_out_all_the_same",),
    ),
    Mutant(
        "a revoked host stays revoked when its numbers are healed", "server/store/tables/columns.py",
        "MOMENT = Range(0, bounds.TIME_MAX_MS, 0)", "MOMENT = Range(0, bounds.TIME_MAX_MS, None)",
        ("tests/store/sqlite/test_store.py::TestSqlite::test_what_was_decided_about_a_host_stays_so_when_its_numbers_are_healed",),
    ),
    Mutant(
        "a row that cannot be read is passed over", "server/store/reads.py",
        "                found.append(make(row))\n            except (ValueError, TypeError, LookupError) as error:",
        "                found.append(make(row))\n            except MemoryError as error:",
        ("tests/store/sqlite/test_store.py::TestSqlite::test_a_text_that_cannot_be_read_is_passed_over_and_named",),
    ),
    # --- what a host may leave behind
    # -----------------------------------------------------------------------------------------
    Mutant(
        "nothing is stored for what was never dispatched", "server/store/late_reports.py",
        "            not late.claimed\n            or late.command_id in deleted",
        "            late.command_id in deleted",
        ("tests/store/sqlite/test_store.py::TestSqlite::test_a_report_that_no_hello_claimed_leaves_nothing",),
    ),
    Mutant(
        "orphans of one host are bounded in number", "server/store/late_reports.py",
        "            if left[late.host_id] <= 0:\n                continue\n", "",
        ("tests/store/sqlite/test_store.py::TestSqlite::test_what_one_host_leaves_is_bounded_in_number",),
    ),
    Mutant(
        "orphans of one host are bounded in bytes", "server/store/late_reports.py",
        "if taken[late.host_id] + size <= ORPHAN_BYTES:", "if True:",
        ("tests/store/sqlite/test_store.py::TestSqlite::test_and_in_bytes",),
    ),
    Mutant(
        "a late report brings one output for each attempt", "server/store/late_reports.py",
        "if kept < late.attempt <= end.attempt:", "if late.attempt <= end.attempt:",
        ("tests/store/sqlite/test_store.py::TestSqlite::test_beside_a_row_there_is_one_output_for_each_attempt",),
    ),
    Mutant(
        "a claim is a number that was given out", "server/core/rollback.py",
        " and 0 < entry.seq <= max(host.seq_reserved, host.seq)", "",
        ("tests/core/results/test_unmatched.py",),
    ),
    Mutant(
        "unsolicited results are acknowledged at the pace that is allowed", "server/core/results/unmatched.py",
        "    if due <= now:", "    if True:",
        ("tests/core/results/test_unmatched.py",),
    ),
    Mutant(
        "a host that sends on without credits is cut off", "server/core/results/unmatched.py",
        "len(host.delayed_acks.acks) < state.limits.unsolicited_waiting", "True",
        ("tests/core/results/test_unmatched.py",),
    ),
    Mutant(
        "changes of one host's facts are written a few times a minute", "server/rpc/session/host_facts.py",
        "if len(saved) == SAVES_PER_MINUTE and now - saved[0] < MINUTE:", "if False:",
        ("tests/rpc/session/test_host_facts.py",),
    ),
    # --- a part of the database that is lost is found out
    # ------------------------------------------------------------------------
    Mutant(
        "what the database has dispatched and does not know is end_requested_at for", "server/core/rollback.py",
        "    if unknown:\n        state.act(Inquire(host.host_id, unknown))\n", "",
        ("tests/core/results/test_unmatched.py", "tests/rpc/session/test_orphans.py"),
    ),
    Mutant(
        "executions of a deleted task are not lost", "server/store/sqlite/write.py",
        '_DELETE_TASK = ("note_deleted", ', "_DELETE_TASK = (",
        ("tests/store/sqlite/test_store.py::TestSqlite::test_a_deleted_task_has_no_orphans",),
    ),
    Mutant(
        "a lost part of the database is an alarm", "server/core/rollback.py",
        '    state.act(Alarm("orphans", text))', "    del text",
        ("tests/core/results/test_unmatched.py", "tests/rpc/session/test_orphans.py"),
    ),
    # --- budgets that honest libraries meet, and floods do not
    # --------------------------------------------------------------------
    Mutant(
        "a PING may follow each DATA frame that was sent", "_speedups/http2/guard.py",
        " and not (kind == PING and self._is_allowed_probe(now)):", ":",
        ("tests/speedups/http2/test_probes.py", "tests/rpc/connection/test_grpcio.py"),
    ),
    Mutant(
        "and no more than one", "_speedups/http2/guard.py",
        "if sent <= self._probes_counted or not self.buckets", "if not self.buckets",
        ("tests/speedups/http2/test_probes.py",),
    ),
    Mutant(
        "a full DATA frame costs less than an empty one", "_speedups/http2/limits.py",
        "FULL_FRAME_DISCOUNT = 0.9", "FULL_FRAME_DISCOUNT = 0.0",
        ("tests/speedups/http2/test_probes.py",), pure=True,
    ),
    # --- the REST port, the agent
    # ---------------------------------------------------------------------------------------------
    Mutant(
        "a request has one length", "server/web/http/http1.py",
        '        if b"content-length" in names:', "        if False:",
        ("tests/web/http/test_http1.py",),
    ),
    Mutant(
        "connections of one address are bounded", "server/security/connection_slots.py",
        "if place.address and len(there) >= self._per_address:", "if False:",
        ("tests/web/http/test_connections.py",),
    ),
    Mutant(
        "a process that cannot be looked at is not gone", "agent/shim/system/linux.py",
        "        if one is None and not _ended(fd):", "        if False:",
        ("tests/agent/test_lookup_errors.py",),
    ),
    # --- names of hosts
    # -------------------------------------------------------------------------------------------------------
    Mutant(
        "a host's place is taken only with a token that allows it", "server/rpc/enrolment/hosts.py",
        "if other.host_id in online or not token.replace]", "if other.host_id in online]",
        ("tests/rpc/enrolment/test_claimed_names.py",),
    ),
    Mutant(
        "a host that is online keeps its place", "server/rpc/enrolment/hosts.py",
        "if other.host_id in online or not token.replace]", "if not token.replace]",
        ("tests/rpc/enrolment/test_claimed_names.py",),
    ),
    Mutant(
        "the name that an operator has given goes before what the agent calls itself", "server/core/inputs/hostnames.py",  # noqa: E501
        "host.given or claim)", "claim)",
        ("tests/core/inputs/test_hostnames.py",),
    ),
    Mutant(
        "no character of a name is hidden", "server/core/inputs/hostnames.py",
        "if (character := hidden(name)) is not None:", "if (character := None) is not None:",
        ("tests/core/inputs/test_hostnames.py",),
    ),
    Mutant(
        "no name looks like a host's id", "server/core/inputs/hostnames.py",
        "    if _ID.match(name) is not None:", "    if False:",
        ("tests/core/inputs/test_hostnames.py",),
    ),
    Mutant(
        "a host that was replaced is not meant by `all`", "server/core/selectors/inventory.py",
        "return self.hosts.keys() - self.replaced if self.replaced else self.hosts.keys()", "return self.hosts.keys()",
        ("tests/core/selectors/test_inventory.py", "tests/web/api/hosts/test_names.py"),
    ),
    Mutant(
        "when hosts were last heard of waits while the writer is full", "server/fleet/seen.py",
        "            while pending and not self._queue.full:", "            while pending:",
        ("tests/fleet/test_seen.py",),
    ),
    # --- one request does not hold the loop
    # -----------------------------------------------------------------------------------
    Mutant(
        "a selector that costs too much is refused", "server/core/selectors/evaluate.py",
        "        if self._left < 0:\n            raise TooCostly\n", "",
        ("tests/web/api/hosts/test_selection.py", "tests/core/selectors/test_evaluate.py"),
    ),
    Mutant(
        "a selector is evaluated in slices", "server/core/selectors/evaluate.py",
        "            self._slice = SLICE\n            yield\n", "            self._slice = SLICE\n            yield from ()\n",  # noqa: E501
        ("tests/web/api/hosts/test_selection.py",),
    ),
    Mutant(
        "one piece of long work at a time", "server/web/readmodel/long_work.py",
        "self._one = trio.CapacityLimiter(1)", "self._one = trio.CapacityLimiter(8)",
        ("tests/web/readmodel/test_long_work.py",),
    ),
    Mutant(
        "a busy connection does not make room", "server/security/connection_slots.py",
        '        """Mark a connection as having a request."""\n        self._forget(self._idle, place)',
        '        """Mark a connection as having a request."""',
        ("tests/web/http/test_connections.py",),
    ),
)  # fmt: skip
