"""Between the nouns of server/core/model.py and rows: which columns there are, in which order, and how values are kept.

Columns are named here and in migrations/ only; the queries take their lists from here. Lists and mappings are JSON
text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from server.core.model import Command, Execution, Host, HostIdentity, JoinRequest, JoinToken, Output, Retry, Task
from server.core.results.groups import Kind, ResultGroup
from server.core.states import ExecutionStatus, TaskStatus

Row = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Table:
    """columns: all of them, in the order of the tuples below. fixed: never changed after the insert."""

    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    fixed: frozenset[str] = frozenset()

    @property
    def mutable(self) -> tuple[str, ...]:
        return tuple(column for column in self.columns if column not in self.key and column not in self.fixed)


TASK = Table(
    "task",
    ("task_id",),
    (
        *(
            "task_id",
            "name",
            "description",
            "type",
            "status",
            "created_by",
            "created_at",
            "updated_at",
            "target_text",
            "parameters",
        ),
        *("timeout_ms", "concurrency", "cancel_requested_at", "cancel_reason", "started_at", "finished_at", "version"),
        *(f"count_{status.label}" for status in ExecutionStatus),
        *("total_hosts", "completed_hosts", "failed_hosts", "wait_ms", "retry", "rerun_of", "spent_ms"),
    ),
    frozenset({"created_by", "created_at"}),
)
COMMAND = Table(
    "command",
    ("command_id",),
    (
        *(
            "command_id",
            "task_id",
            "command",
            "argv",
            "script",
            "interpreter",
            "args",
            "parameters",
            "env",
            "cwd",
            "run_as",
            "umask",
        ),
        *("stdin", "timeout_ms", "grace_ms", "start_within_ms", "max_output", "detach", "success_codes"),
    ),
)
EXECUTION = Table(
    "command_host",
    ("command_id", "host_id"),
    (
        *(
            "command_id",
            "host_id",
            "attempt",
            "status",
            "version",
            "seq",
            "journal_id",
            "unreachable",
            "cancel_requested_at",
        ),
        *(
            "dispatched_at",
            "accepted_at",
            "started_at",
            "finished_at",
            "agent_started_at",
            "agent_finished_at",
            "execution_ms",
        ),
        *(
            "exit_code",
            "exit_signal",
            "error_code",
            "error_message",
            "stdout_id",
            "stderr_id",
            "late_result",
            "report",
            "cancel_reason",
            "earlier",
        ),
        "retry_at",
    ),
    frozenset({"late_result"}),
)
OUTPUT = Table("output", ("output_id",), ("output_id", "head", "tail", "total_bytes", "sha256", "truncated"))
HOST = Table(
    "host",
    ("host_id",),
    (
        *(
            "host_id",
            "hostname",
            "ip",
            "os",
            "arch",
            "version",
            "labels",
            "agent_labels",
            "status",
            "journal_id",
            "boot_id",
        ),
        *("first_seen_at", "last_seen_at", "last_heartbeat_at", "created_at", "updated_at"),
        *("claimed", "given", "former", "replaced_by", "replaced_at"),
    ),
)
IDEMPOTENCY = Table("idempotency", ("idempotency_key",), ("idempotency_key", "task_id", "request_digest", "created_at"))
ORPHAN = Table(
    "orphan_result",
    ("host_id", "command_id", "attempt"),
    ("host_id", "command_id", "attempt", "received_at", "agent_finished_at", "report", "seq", "stage", "kept_bytes"),
    frozenset({"seq", "stage"}),
)
JOIN_TOKEN = Table(
    "join_token",
    ("token_id",),
    (
        "token_id",
        "digest",
        "expires_at",
        "uses_left",
        "labels",
        "created_by",
        "created_at",
        "networks",
        "approve",
        "replaces",
    ),
)
JOIN_USE = Table("join_use", ("serial",), ("serial", "token_id", "host_id", "used_at"))
JOIN_REQUEST = Table(
    "join_request",
    ("request_id",),
    (
        *("request_id", "token_id", "csr", "hostname", "previous_host_id", "address", "created_at", "expires_at"),
        *("decided_at", "decided_by", "approved"),
    ),
)
IDENTITY = Table(
    "host_identity",
    ("host_id",),
    (
        *(
            "host_id",
            "generation",
            "joined_generation",
            "serial",
            "not_after",
            "issued_at",
            "token_id",
            "next_serial",
            "next_not_after",
        ),
        *("revoked_at", "revoked_by", "quarantined_at", "quarantine_reason", "released_at"),
    ),
)
_BUT_VERSION = Table(EXECUTION.name, EXECUTION.key, EXECUTION.columns, EXECUTION.fixed | {"version"})
TABLES = {
    "task": TASK,
    "command": COMMAND,
    "execution": EXECUTION,
    "execution_but_version": _BUT_VERSION,
    "output": OUTPUT,
    "host": HOST,
    "idempotency": IDEMPOTENCY,
    "orphan": ORPHAN,
    "join_token": JOIN_TOKEN,
    "join_use": JOIN_USE,
    "join_request": JOIN_REQUEST,
    "identity": IDENTITY,
}

_COUNTS = TASK.columns.index("count_pending")
_WAIT = TASK.columns.index("wait_ms")
_ALL_EXECUTION_STATUSES = tuple(ExecutionStatus)
_ALL_TASK_STATUSES = tuple(TaskStatus)


def as_json(value: Mapping[str, object] | Sequence[object] | None) -> str | None:
    """Raises orjson.JSONEncodeError (a TypeError) for what JSON cannot hold."""
    return None if value is None else orjson.dumps(value).decode()


def task_row(task: Task) -> tuple[Any, ...]:
    return (
        *(
            task.task_id,
            task.name,
            task.description,
            task.type,
            int(task.status),
            task.created_by,
            task.created_at,
            task.updated_at,
        ),
        *(
            task.target_text,
            as_json(task.parameters),
            task.timeout_ms,
            task.concurrency,
            task.cancel_requested_at,
            task.cancel_reason,
        ),
        *(
            task.started_at,
            task.finished_at,
            task.version,
            *task.counts,
            task.total_hosts,
            task.completed_hosts,
            task.failed_hosts,
        ),
        *(task.wait_ms, None if task.retry is None else as_json(asdict(task.retry)), task.rerun_of, task.spent_ms),
    )


def task_from(row: Row, targets: tuple[str, ...] = ()) -> Task:
    return Task(
        task_id=row[0],
        name=row[1],
        description=row[2],
        type=row[3],
        status=_ALL_TASK_STATUSES[row[4]],
        created_by=row[5],
        created_at=row[6],
        updated_at=row[7],
        target_text=row[8],
        targets=targets,
        parameters=orjson.loads(row[9]),
        timeout_ms=row[10],
        concurrency=row[11],
        cancel_requested_at=row[12],
        cancel_reason=row[13],
        started_at=row[14],
        finished_at=row[15],
        version=row[16],
        counts=tuple(row[_COUNTS : _COUNTS + len(ExecutionStatus)]),
        wait_ms=row[_WAIT],
        retry=None if row[_WAIT + 1] is None else _retry(row[_WAIT + 1]),
        rerun_of=row[_WAIT + 2],
        spent_ms=row[_WAIT + 3],
    )


def _retry(text: str) -> Retry:
    kept = orjson.loads(text)
    return Retry(**kept | {"codes": tuple(kept["codes"])})


def command_row(command: Command) -> tuple[Any, ...]:
    return (
        *(
            command.command_id,
            command.task_id,
            command.command,
            as_json(command.argv),
            command.script,
            command.interpreter,
        ),
        *(
            as_json(command.args),
            as_json(command.parameters),
            as_json(command.env),
            command.cwd,
            command.run_as,
            command.umask,
        ),
        *(
            command.stdin,
            command.timeout_ms,
            command.grace_ms,
            command.start_within_ms,
            command.max_output,
            int(command.detach),
        ),
        as_json(command.success_codes),
    )


def command_from(row: Row) -> Command:
    return Command(
        command_id=row[0],
        task_id=row[1],
        command=row[2],
        argv=None if row[3] is None else tuple(orjson.loads(row[3])),
        script=row[4],
        interpreter=row[5],
        args=tuple(orjson.loads(row[6])),
        parameters=orjson.loads(row[7]),
        env=orjson.loads(row[8]),
        cwd=row[9],
        run_as=row[10],
        umask=row[11],
        stdin=row[12],
        timeout_ms=row[13],
        grace_ms=row[14],
        start_within_ms=row[15],
        max_output=row[16],
        detach=bool(row[17]),
        success_codes=tuple(orjson.loads(row[18])),
    )


def execution_row(row: Execution) -> tuple[Any, ...]:
    report, late = row.report, row.late_result
    return (
        row.command_id,
        row.host_id,
        row.attempt,
        int(row.status),
        row.version,
        row.seq,
        row.journal_id,
        int(row.unreachable),
        row.cancel_requested_at,
        row.dispatched_at,
        row.accepted_at,
        row.started_at,
        row.finished_at,
        row.agent_started_at,
        row.agent_finished_at,
        row.execution_ms,
        row.exit_code,
        row.signal,
        row.error_code,
        row.error_message,
        row.stdout_id,
        row.stderr_id,
        None if late is None else as_json(late),
        None if report is None else as_json(report),
        row.cancel_reason,
        as_json(row.earlier) if row.earlier else None,
        row.retry_at,
    )


def execution_from(row: Row) -> Execution:
    return Execution(
        command_id=row[0],
        host_id=row[1],
        attempt=row[2],
        status=_ALL_EXECUTION_STATUSES[row[3]],
        version=row[4],
        seq=row[5],
        journal_id=row[6],
        unreachable=bool(row[7]),
        cancel_requested_at=row[8],
        dispatched_at=row[9],
        accepted_at=row[10],
        started_at=row[11],
        finished_at=row[12],
        agent_started_at=row[13],
        agent_finished_at=row[14],
        execution_ms=row[15],
        exit_code=row[16],
        signal=row[17],
        error_code=row[18],
        error_message=row[19],
        stdout_id=row[20],
        stderr_id=row[21],
        late_result=None if row[22] is None else orjson.loads(row[22]),
        report=None if row[23] is None else orjson.loads(row[23]),
        cancel_reason=row[24],
        earlier=() if row[25] is None else tuple(orjson.loads(row[25])),
        retry_at=row[26],
    )


def answer_from(row: Row) -> ResultGroup:
    """A row of the query `answers`, whose ids come in one text with commas between."""
    return ResultGroup(
        status=_ALL_EXECUTION_STATUSES[row[0]],
        exit_code=row[1],
        signal=row[2],
        error_code=row[3],
        stdout_id=row[4],
        stderr_id=row[5],
        first_at=row[6],
        host_ids=tuple(row[7].split(",")),
    )


def kind_from(row: Row) -> Kind:
    """The first six columns of a row of the query `notes`."""
    return (_ALL_EXECUTION_STATUSES[row[0]], row[1], row[2], row[3], row[4], row[5])


def output_row(output: Output) -> tuple[Any, ...]:
    return (output.output_id, output.head, output.tail, output.total_bytes, output.sha256, int(output.truncated))


def output_from(row: Row) -> Output:
    return Output(output_id=row[0], head=row[1], tail=row[2], total_bytes=row[3], sha256=row[4])


def host_row(host: Host) -> tuple[Any, ...]:
    return (
        *(
            host.host_id,
            host.hostname,
            host.ip,
            host.os,
            host.arch,
            host.version,
            as_json(host.labels),
            as_json(host.agent_labels),
        ),
        *(host.status, host.journal_id, host.boot_id, host.first_seen_at, host.last_seen_at, host.last_heartbeat_at),
        *(host.created_at, host.updated_at, host.claimed, host.given, as_json(host.former) if host.former else None),
        *(host.replaced_by, host.replaced_at),
    )


def host_from(row: Row) -> Host:
    """A row of HOST.columns, then the highest dispatch number, when the host was heard of since its row was written,
    and the highest
    epoch that it has claimed."""
    return Host(
        host_id=row[0],
        hostname=row[1],
        ip=row[2],
        os=row[3],
        arch=row[4],
        version=row[5],
        labels=orjson.loads(row[6]),
        agent_labels=orjson.loads(row[7]),
        status=row[8],
        journal_id=row[9],
        boot_id=row[10],
        first_seen_at=row[11],
        last_seen_at=max((at for at in (row[12], row[22]) if at is not None), default=None),
        last_heartbeat_at=row[13],
        created_at=row[14],
        updated_at=row[15],
        claimed=row[16],
        given=row[17],
        former=tuple(orjson.loads(row[18])) if row[18] else (),
        replaced_by=row[19],
        replaced_at=row[20],
        max_seq=row[21],
        max_epoch=row[23],
    )


def join_token_row(token: JoinToken) -> tuple[Any, ...]:
    return (
        token.token_id,
        token.digest,
        token.expires_at,
        token.uses_left,
        as_json(token.labels),
        token.created_by,
        token.created_at,
        as_json(token.networks),
        int(token.approve),
        int(token.replace),
    )


def join_token_from(row: Row) -> JoinToken:
    return JoinToken(
        row[0],
        bytes(row[1]),
        row[2],
        row[3],
        orjson.loads(row[4]),
        row[5],
        row[6],
        tuple(orjson.loads(row[7])),
        bool(row[8]),
        bool(row[9]),
    )


def join_request_row(request: JoinRequest) -> tuple[Any, ...]:
    return (*(getattr(request, column) for column in JOIN_REQUEST.columns[:-1]), int(request.approved))


def join_request_from(row: Row) -> JoinRequest:
    found = dict(zip(JOIN_REQUEST.columns, row, strict=True))
    return JoinRequest(**found | {"csr": bytes(row[2]), "approved": bool(row[10])})


def identity_row(identity: HostIdentity) -> tuple[Any, ...]:
    return tuple(getattr(identity, column) for column in IDENTITY.columns)


def identity_from(row: Row) -> HostIdentity:
    return HostIdentity(**dict(zip(IDENTITY.columns, row, strict=True)))
