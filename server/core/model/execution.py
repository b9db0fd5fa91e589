"""An execution and the outputs of its streams."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy

from msgspec import Struct

from server.core.states import ExecutionStatus


class Execution(Struct, gc=False):
    """One command on one host, as stored in the table command_host.

    Attributes:
        command_id: Id of the command.
        host_id: Id of the host.
        attempt: Number of the current attempt, from 1.
        status: Status of the execution.
        version: Grows with each change. The store takes only a newer version.
        seq: Dispatch number of the current attempt.
        journal_id: Journal of the host when the attempt was dispatched.
        unreachable: The host is offline and the execution is not final.
        cancel_requested_at: When the host was first asked to end it.
        dispatched_at: When it was dispatched.
        accepted_at: When the server read the acceptance.
        started_at: When the server read that the process exists.
        finished_at: When the execution became final.
        agent_started_at: Start of the process by the agent's clock.
        agent_finished_at: End of the process by the agent's clock.
        execution_ms: How long the process ran.
        exit_code: Exit code of the process.
        signal: Signal that ended the process.
        error_code: Reason (proto/reasons.py) why it did not complete.
        error_message: Details of the reason.
        stdout_id: Id of the stored stdout.
        stderr_id: Id of the stored stderr.
        report: Further values of the result: usage, kill report, flags.
        late_result: A result that arrived after the row had become final. It changes nothing else.
        cancel_reason: Why the host was first asked to end it: `canceled`, `timeout` or `expired`.
        earlier: How the earlier attempts ended, the first one first.
        retry_at: When the pause before this attempt ends.
    """

    command_id: str
    host_id: str
    attempt: int = 1
    status: ExecutionStatus = ExecutionStatus.PENDING
    version: int = 0
    seq: int | None = None
    journal_id: str | None = None
    unreachable: bool = False
    cancel_requested_at: int | None = None
    dispatched_at: int | None = None
    accepted_at: int | None = None
    started_at: int | None = None
    finished_at: int | None = None
    agent_started_at: int | None = None
    agent_finished_at: int | None = None
    execution_ms: int | None = None
    exit_code: int | None = None
    signal: int | None = None
    error_code: str | None = None
    error_message: str | None = None
    stdout_id: bytes | None = None
    stderr_id: bytes | None = None
    report: Mapping[str, object] | None = None
    late_result: Mapping[str, object] | None = None
    cancel_reason: str | None = None
    earlier: tuple[Mapping[str, object], ...] = ()
    retry_at: int | None = None

    def snapshot(self) -> Execution:
        """Return a copy that later changes do not affect."""
        return copy(self)


class Output(Struct, frozen=True, gc=False):
    """The stored part of one stream. Equal outputs of several hosts are stored once.

    Attributes:
        output_id: 32 bytes, see `core.results.outputs.output_id_of`.
        head: The first bytes of the stream, or all of them.
        tail: The last bytes, after a dropped middle; empty if nothing was dropped.
        total_bytes: Length of the whole stream.
        sha256: Digest of the whole stream.
    """

    output_id: bytes
    head: bytes
    tail: bytes
    total_bytes: int
    sha256: bytes

    @property
    def truncated(self) -> bool:
        """True if the middle of the stream was dropped."""
        return self.total_bytes > len(self.head) + len(self.tail)
