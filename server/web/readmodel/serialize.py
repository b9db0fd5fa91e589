"""Converts model objects into response schemas."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from msgspec.structs import asdict

from proto.notes import MARKED, NOTES, facts_of
from proto.reasons import reason, said
from server.core.effects import Progress
from server.core.model import Command, Execution, Host, HostIdentity, Task
from server.core.results.groups import ResultGroup
from server.core.states import ExecutionStatus, TaskStatus
from server.ports import Fleet, HostPresence
from server.store.base import Beginning, OutputSummary
from server.web.readmodel.progress import done, ran_to_end
from server.web.readmodel.result_groups import GroupMembers
from server.web.schemas import executions, hosts, results, tasks


def by_label(counts: Sequence[int], kinds: type[TaskStatus] | type[ExecutionStatus]) -> dict[str, int]:
    return {kind.label: counts[kind] for kind in kinds}


def _waits_for(task: Task) -> str | None:
    if task.status is TaskStatus.PENDING:
        return "start"
    busy = task.counts[ExecutionStatus.DISPATCHED] + task.counts[ExecutionStatus.RUNNING]
    if task.status is TaskStatus.RUNNING and task.counts[ExecutionStatus.PENDING] and not busy:
        return "hosts"
    return None


def task_row(task: Task) -> tasks.TaskRow:
    return tasks.TaskRow(
        task_id=task.task_id,
        name=task.name,
        description=task.description,
        type=task.type,
        status=task.status.label,
        created_by=task.created_by,
        created_at=task.created_at,
        updated_at=task.updated_at,
        started_at=task.started_at,
        finished_at=task.finished_at,
        total_hosts=task.total_hosts,
        completed_hosts=task.completed_hosts,
        failed_hosts=task.failed_hosts,
        partial=task.partial,
        counts=by_label(task.counts, ExecutionStatus),
        timeout_ms=task.timeout_ms,
        concurrency=task.concurrency,
        cancel_requested_at=task.cancel_requested_at,
        cancel_reason=task.cancel_reason,
        version=task.version,
        rerun_of=task.rerun_of,
        waits_for=_waits_for(task),
    )


def task_view(task: Task, command: Command) -> tasks.TaskView:
    retry = task.retry
    return tasks.TaskView(
        **asdict(task_row(task)),
        parameters=dict(task.parameters),
        target_text=task.target_text,
        sets=dict(task.sets),
        if_offline="fail" if task.wait_ms is None else "wait",
        wait_for_ms=task.wait_ms,
        retry=None if retry is None else tasks.RetryView(**dataclasses.asdict(retry) | {"codes": list(retry.codes)}),
        command=command_view(command),
    )


def command_view(command: Command) -> tasks.CommandView:
    return tasks.CommandView(
        command_id=command.command_id,
        command=command.command,
        argv=list(command.argv) if command.argv is not None else None,
        script=command.script,
        interpreter=command.interpreter,
        args=list(command.args),
        parameters=dict(command.parameters),
        env=dict(command.env),
        cwd=command.cwd,
        run_as=command.run_as,
        umask=f"{command.umask:03o}" if command.umask is not None else None,
        stdin_bytes=len(command.stdin) if command.stdin is not None else None,
        timeout_ms=command.timeout_ms,
        grace_ms=command.grace_ms,
        start_within_ms=command.start_within_ms,
        max_output=command.max_output,
        leave_children=command.detach,
        detach=command.detach,
        success_codes=list(command.success_codes),
    )


def progress_view(progress: Progress, rate: float | None, now_ms: int, fleet: Fleet) -> tasks.ProgressView:
    """The progress of a task. `rate` is the current rate per second of a running task."""
    task = progress.task
    total, ended = task.total_hosts, done(task)
    elapsed_ms = max((task.finished_at or now_ms) - task.started_at, 0) if task.started_at is not None else None
    if task.status.final:
        rate = ran_to_end(task) / (elapsed_ms / 1000) if elapsed_ms else None
    left_ms = round((total - ended) / rate * 1000) if rate and task.cancel_requested_at is None else None
    eta_ms = 0 if task.status.final else left_ms
    return tasks.ProgressView(
        task_id=task.task_id,
        status=task.status.label,
        version=task.version,
        total=total,
        completed=task.completed_hosts,
        failed=task.failed_hosts,
        percent=round(100 * ended / total, 1) if total else 100.0,
        counts=by_label(task.counts, ExecutionStatus),
        rate_per_s=round(rate, 2) if rate is not None else None,
        eta_ms=eta_ms,
        elapsed_ms=elapsed_ms,
        cancel_requested_at=task.cancel_requested_at,
        slowest=[tasks.SlowHost(host_id=host_id, hostname=_hostname(fleet, host_id)) for host_id in progress.slowest],
    )


def _hostname(fleet: Fleet, host_id: str) -> str | None:
    presence = fleet.presence(host_id)
    return presence.host.hostname if presence is not None else None


def _error(row: Execution) -> executions.ErrorView | None:
    return error_view(row.error_code, row.error_message)


def error_view(code: str | None, detail: str | None) -> executions.ErrorView | None:
    if code is None:
        return None
    known = reason(code)
    return executions.ErrorView(
        phase=known.phase, code=code, message=known.message, detail=detail, hint=known.hint, retryable=known.retryable
    )


def _note_view(code: str, *, count: int | None = None, hosts: int | None = None) -> executions.NoteView:
    note = NOTES[code]
    return executions.NoteView(code=code, message=note.message, hint=note.hint, count=count, hosts=hosts)


def _notes(row: Execution, sizes: Mapping[bytes, OutputSummary]) -> list[executions.NoteView]:
    cut = any(
        sizes[output_id].truncated
        for output_id in (row.stdout_id, row.stderr_id)
        if output_id is not None and output_id in sizes
    )
    return [_note_view(code, count=count) for code, count in facts_of(row.report, cut)]


def _group_notes(
    answer: ResultGroup, begins: Mapping[bytes, Beginning], counts: Sequence[int]
) -> list[executions.NoteView]:
    found = [_note_view(code, hosts=hosts) for code, hosts in zip(MARKED, counts, strict=False) if hosts]
    cut = any(begins[output_id].sizes.truncated for output_id in answer.outputs if output_id in begins)
    return found + ([_note_view("output_cut", hosts=answer.count)] if cut else [])


def group_view(
    task_id: str,
    answer: ResultGroup,
    members: GroupMembers,
    begins: Mapping[bytes, Beginning],
    detail: str | None,
    notes: Sequence[int] = (),
) -> results.GroupView:
    """A result group.

    Args:
        task_id: The task.
        answer: The group.
        members: Its hosts.
        begins: Beginnings of its outputs that are still stored.
        detail: The message of the first host's agent.
        notes: Number of hosts per note of MARKED.
    """
    words = said(answer.status.label, code=answer.error_code)
    return results.GroupView(
        number=answer.number,
        selector=f"task:{task_id} group={answer.number}",
        count=answer.count,
        folded=members.folded.text,
        more=members.folded.more,
        first_host=results.FirstHost(host_id=members.host_id, hostname=members.hostname),
        status=answer.status.label,
        word=words.word,
        message=words.message,
        hint=words.hint,
        exit_code=answer.exit_code,
        signal=answer.signal,
        error=error_view(answer.error_code, detail),
        notes=_group_notes(answer, begins, notes),
        stdout=_beginning(answer.stdout_id, begins),
        stderr=_beginning(answer.stderr_id, begins),
    )


def _beginning(output_id: bytes | None, begins: Mapping[bytes, Beginning]) -> results.BeginningView | None:
    if output_id is None:
        return None
    begin = begins.get(output_id)
    if begin is None:
        return results.BeginningView(output_id=output_id.hex(), text="", whole=False, total_bytes=None, truncated=None)
    sizes = begin.sizes
    whole = len(begin.data) == sizes.total_bytes
    return results.BeginningView(
        output_id=output_id.hex(),
        text=begin.data.decode("utf-8", "replace"),
        whole=whole,
        total_bytes=sizes.total_bytes,
        truncated=sizes.truncated,
    )


def _stop(row: Execution) -> executions.StopView | None:
    kill = (row.report or {}).get("kill")
    never = row.error_code in ("canceled_before_start", "task_timeout")
    if row.cancel_requested_at is None and kill is None and not never:
        return None
    signals = kill if isinstance(kill, Mapping) else {}
    reason = (
        signals.get("reason") or row.cancel_reason or ("timeout" if row.error_code == "task_timeout" else "canceled")
    )
    return executions.StopView(
        outcome=_stopped(row, signals),
        reason=str(reason),
        requested_at=row.cancel_requested_at,
        term_at=signals.get("term_at_ms"),
        kill_at=signals.get("kill_at_ms"),
    )


def _stopped(row: Execution, signals: Mapping[str, object]) -> str:
    if not row.status.final:
        return "unreachable" if row.unreachable else "stopping"
    if signals:
        return "killed" if signals.get("tree_empty") else "unconfirmed"
    if row.error_code is not None and not reason(row.error_code).started:
        return "never_started"
    if row.status is ExecutionStatus.LOST:
        return "unreachable"
    return "killed" if row.status in (ExecutionStatus.CANCELED, ExecutionStatus.TIMEOUT) else "finished"


def _summary(output_id: bytes | None, sizes: Mapping[bytes, OutputSummary]) -> executions.OutputSummaryView | None:
    if output_id is None:
        return None
    size = sizes.get(output_id)
    return executions.OutputSummaryView(
        output_id=output_id.hex(),
        total_bytes=size.total_bytes if size else None,
        truncated=size.truncated if size else None,
    )


def _awaits(row: Execution, task: Task | None, fleet: Fleet) -> str | None:
    if row.status is not ExecutionStatus.PENDING:
        return None
    if task is None or task.status is TaskStatus.PENDING:
        return "start"
    if row.retry_at is not None:
        return "retry"
    presence = fleet.presence(row.host_id)
    return "host" if presence is None or presence.session is None else "turn"


def execution_row(
    row: Execution, hostname: str, sizes: Mapping[bytes, OutputSummary], task: Task | None, fleet: Fleet
) -> executions.ExecutionRow:
    """An execution in a list. `task` is the engine's record, or None if the task has ended."""
    return executions.ExecutionRow(
        host_id=row.host_id,
        hostname=hostname,
        command_id=row.command_id,
        attempt=row.attempt,
        status=row.status.label,
        unreachable=row.unreachable,
        exit_code=row.exit_code,
        signal=row.signal,
        cancel_requested_at=row.cancel_requested_at,
        dispatched_at=row.dispatched_at,
        accepted_at=row.accepted_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        agent_started_at=row.agent_started_at,
        agent_finished_at=row.agent_finished_at,
        execution_ms=row.execution_ms,
        waits_for=_awaits(row, task, fleet),
        retry_at=row.retry_at,
        stop=_stop(row),
        error=_error(row),
        notes=_notes(row, sizes),
        stdout=_summary(row.stdout_id, sizes),
        stderr=_summary(row.stderr_id, sizes),
    )


def execution_view(
    row: Execution, hostname: str, sizes: Mapping[bytes, OutputSummary], task: Task | None, fleet: Fleet
) -> executions.ExecutionView:
    report = dict(row.report) if row.report is not None else None
    late = dict(row.late_result) if row.late_result is not None else None
    base = execution_row(row, hostname, sizes, task, fleet)
    earlier = [dict(one) for one in row.earlier]
    return executions.ExecutionView(
        **{name: getattr(base, name) for name in base.__struct_fields__},
        report=report,
        earlier=earlier,
        late_result=late,
    )


def host_view(presence: HostPresence, word: str, open_executions: int, identity: HostIdentity | None) -> hosts.HostView:
    host: Host = presence.host
    return hosts.HostView(
        host_id=host.host_id,
        hostname=host.hostname,
        selector=word,
        given_name=host.given,
        former_names=list(host.former),
        replaced_by=host.replaced_by,
        replaced_at=host.replaced_at,
        ip=host.ip,
        os=host.os,
        arch=host.arch,
        version=host.version,
        labels=dict(host.labels),
        agent_labels=dict(host.agent_labels),
        connected=presence.session is not None,
        connected_since=presence.since,
        open_executions=open_executions,
        identity=None if identity is None else identity_view(identity),
        first_seen_at=host.first_seen_at,
        last_seen_at=presence.seen,
        created_at=host.created_at,
        updated_at=host.updated_at,
    )


def identity_view(identity: HostIdentity) -> hosts.IdentityView:
    return hosts.IdentityView(
        state=identity.state,
        generation=identity.generation,
        certificate_expires_at=max(identity.not_after, identity.next_not_after or 0),
        revoked_at=identity.revoked_at,
        revoked_by=identity.revoked_by,
        quarantined_at=identity.quarantined_at,
        quarantine_reason=identity.quarantine_reason,
    )
