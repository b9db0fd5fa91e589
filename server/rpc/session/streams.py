"""All agent streams: one task reads every socket through the HTTP/2 fast path, one writes, one keeps time.

No agent has a task of its own that does work. Between Hello and goodbye the messages of a session bypass grpclib (see
_speedups/http2/connection_py.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import structlog
import trio
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from _speedups.http2 import Conn
from _speedups.http2.limits import ENHANCE_YOUR_CALM
from proto.messages import Heartbeat, MalformedMessage, Rejected, decode, kind_of
from server.core.events import HostDisconnected, Report, Result
from server.core.inputs.bounds import RUNNING_MAX
from server.errors import ClarionError
from server.fleet.registry import Registry
from server.fleet.session import Session
from server.ports import Clock, EngineHandle
from server.rpc.accept.abuse import grpc_error
from server.rpc.session import decode as rows
from server.rpc.session import encode
from server.rpc.session.agent_stream import AgentStream, HelloHandler
from server.rpc.session.encode import Encoder
from server.rpc.session.endings import COUNTED, DRAINING, END_STATUS, ENDED, FLOODS, ORDERLY
from server.rpc.session.pending import PendingConnections
from server.rpc.session.read_batching import IDLE_DELAY, ReadBatcher
from server.rpc.session.report_slices import split_by_command
from server.rpc.session.result_credits import ResultCredits
from server.rpc.session.send_queue import SendQueue
from server.rpc.session.timer_wheel import TimerWheel
from server.rpc.settings import AgentPortMetrics, AgentPortSettings, WriterQueue
from server.turns import let_other_tasks_run

log = structlog.get_logger(__name__)

SENDS_IN_A_ROW, SECONDS_IN_A_ROW = 64, 0.003
"""Sends, or seconds, after which other tasks of the loop get a turn; the kernel determines how long one send takes."""
READ_AT_ONCE, BULK = 48, 16
"""Connections of one slice, which takes one turn of the loop. A slice of BULK rows or more lets other tasks run before
the next slice.
"""
PREFERRED_SECONDS = 1.0
"""Seconds for which a connection is read before others after a command of a small task was sent to it."""
HELLO = 3
HEARTBEAT = 12
GONE = -1
BROKEN = 0
KINDS = {1: "command_content", 2: "command_result", 5: "accepted", 7: "started", 8: "output", 12: "heartbeat"}
BEAT_AFTER = 1.25
"""The server sends a heartbeat after this many heartbeat intervals without sending anything else.

An agent's heartbeats arrive up to a tenth of an interval late, and the answers to them count as sending.
"""


class AgentStreams:
    """The streams of all agents, and the connections that have no session yet. `run` does the work.

    SessionSetup calls `open` when it accepts a Hello, and `closed` when the call has ended.

    Args:
        poller: the poller of the HTTP/2 fast path.
        registry: the connected hosts.
        engine: receives the events of agents.
        queue: the writer; while it is full, nothing is read.
        clock: monotonic and wall time.
        settings: of sessions.
        counts: metrics.

    Attributes:
        hello_handler: judges the first row of a stream without a session; set by SessionSetup.
        draining: the server is shutting down and accepts no session.
    """

    def __init__(
        self,
        poller: Any,
        registry: Registry,
        engine: EngineHandle,
        queue: WriterQueue,
        clock: Clock,
        settings: AgentPortSettings,
        counts: AgentPortMetrics,
    ) -> None:
        self._poller = poller
        self._registry = registry
        self._engine = engine
        self._queue = queue
        self._clock = clock
        self._settings = settings
        self._counts = counts
        self._encoder = Encoder(settings.terms)
        self._open_streams: dict[int, AgentStream] = {}
        self._closing: TimerWheel[Any] = TimerWheel(settings.pulse, clock.now().mono)
        self.hello_handler: HelloHandler | None = None
        self._unsent = SendQueue()
        self._credits = ResultCredits(settings.terms.credits, queue)
        self._timers: TimerWheel[AgentStream] = TimerWheel(settings.pulse, clock.now().mono)
        self._pending = PendingConnections(settings, clock)
        self._on_drain: list[Callable[[], None]] = []
        self.draining = False
        self._batcher = ReadBatcher()

    # --- the life of a session ---

    def add_connection(self, conn: Conn, goaway: Callable[[], None]) -> None:
        """Note a new connection; see PendingConnections.add. `connection_closed` must follow."""
        self._pending.add(conn, goaway)

    def keep_for_probes(self, conn: Conn) -> None:
        """Keep a connection that asks for health or reflection; see PendingConnections.keep_for_probes."""
        self._pending.keep_for_probes(conn)

    def connection_closed(self, conn: Conn) -> None:
        """Forget a connection."""
        self._pending.discard(conn)

    def open(self, stream: AgentStream, host_id: str, peer: str) -> Session:
        """Open a session for a stream whose Hello is accepted."""
        self._pending.become_agents(stream.conn)
        now = self._clock.now()
        session = stream.session = self._registry.attach(host_id, peer, now.wall_ms, self._unsent.add)
        self._open_streams[session.number] = stream
        self._timers.set(stream, now.mono + self._settings.terms.heartbeat)
        self._counts.session_opened()
        return session

    def closed(self, stream: AgentStream) -> None:
        """Note that the call has ended. If grpclib carries it, this runs under asyncio, before grpclib ends it."""
        session = stream.session
        if session is None or self._open_streams.pop(session.number, None) is None:
            return
        if self.draining and stream.lazy is None:
            # Sent after the call's end, because h2 clients ignore frames of all streams after a GOAWAY.
            asyncio.get_running_loop().call_soon(self._pending.goaway, stream.conn)
        session.record_read(self._clock.now(), stream.conn.last_read)
        self._counts.session_closed()
        log.info("session_closed", host_id=session.host_id, session=session.number, why=session.ended or "connection")
        if self._registry.detach(session) and not self.draining:
            self._engine.submit(HostDisconnected(session.host_id, session.number))

    def when_draining(self, call: Callable[[], None]) -> None:
        """Register a function that `drain` calls."""
        self._on_drain.append(call)

    def drain(self) -> None:
        """Tell every agent to reconnect later, and every other client that no call is accepted any more.

        Agents get a range of delays, so that they do not all return at once. Running commands continue.
        """
        self.draining = True
        for call in self._on_drain:
            call()
        for session in self._registry.sessions():
            session.end(DRAINING)
        self._pending.goaway_all()  # an agent gets its GOAWAY when its call has ended

    # --- reading ---

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Read, write and keep time until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read)
            nursery.start_soon(self._write)
            nursery.start_soon(self._keep_time)
            task_status.started()

    async def _read(self) -> None:
        while True:
            await (
                self._queue.wait_reading()
            )  # a full writer leaves what agents send in the sockets, and so on the agents' disks
            await trio.lowlevel.wait_readable(self._poller.fileno())
            now = self._clock.now().mono
            if delay := self._batcher.delay(now):
                await trio.sleep(delay)
                now = self._clock.now().mono
            batch = self._poller.poll(now, READ_AT_ONCE)
            self.handle_rows(batch, now)
            if len(batch) >= BULK:
                await let_other_tasks_run()
            if self._batcher.is_idle(now):
                with trio.move_on_after(IDLE_DELAY):
                    await self._unsent.added.wait()

    def handle_rows(self, batch: list[tuple[Any, ...]], now: float) -> None:
        """Handle one slice of rows. Its events are one transaction, or a few (see report_slices.py)."""
        events: list[Report] = []
        self._batcher.record_read(len(batch), all(row[1] == HEARTBEAT for row in batch), now)
        for row in batch:
            stream: AgentStream = row[0]
            if stream.session is None:
                self._before_hello(stream, row)
            elif stream.session.number in self._open_streams and stream.session.ended in COUNTED:
                try:
                    event = self._to_report(stream, row)
                except MalformedMessage as error:
                    self._reject_malformed(stream, str(error))
                else:
                    if event is not None:
                        events.append(event)
        if events:
            for some in split_by_command(events) if self._queue.lags else (events,):
                self._engine.submit(*some)

    def _before_hello(self, stream: AgentStream, row: tuple[Any, ...]) -> None:
        """Handle the first row of a stream that has no session yet."""
        kind = row[1]
        hello_handler = self.hello_handler
        assert hello_handler is not None, "SessionSetup sets it before it attaches a stream without a session"
        if kind == HELLO:
            hello_handler.on_hello(stream, row[2])
        elif kind == BROKEN and row[2].startswith("message too large"):
            hello_handler.on_wrong_start(
                stream, "message_too_large", row[2], GRPCError(Status.RESOURCE_EXHAUSTED, row[2])
            )
        elif kind == BROKEN:
            hello_handler.on_wrong_start(
                stream, "malformed_message", row[2], grpc_error(ClarionError("malformed_message", row[2]))
            )
        elif kind == GONE:
            if row[2] in (ENDED, "reset"):
                hello_handler.on_wrong_start(
                    stream,
                    "no_hello",
                    "the call ended before",
                    GRPCError(Status.INVALID_ARGUMENT, "ended before its hello"),
                )
        else:
            words = f"the first message must be hello, not {KINDS.get(kind, 'for_message an unknown kind')}"
            hello_handler.on_wrong_start(
                stream, "malformed_message", words, grpc_error(ClarionError("hello_expected", words))
            )

    def _to_report(self, stream: AgentStream, row: tuple[Any, ...]) -> Report | None:
        kind = row[1]
        session = stream.session
        assert session is not None
        if kind in rows.EVENTS:
            event = rows.to_event(session.host_id, row)
            if isinstance(event, Result):
                if event.execution_ms is not None:
                    self._counts.command_reported(event.execution_ms / 1000)
                self._registry.watching.ended(event.host_id, event.command_id, event.attempt)
            return event
        if kind == HEARTBEAT:
            self._on_heartbeat(stream, beat=row[2], answer=row[3], running=row[4])
        elif kind == rows.OUTPUT:
            self._registry.watching.take(session, *rows.to_output(row))
        elif kind == BROKEN:
            self._reject_malformed(stream, row[2])
        elif kind == GONE:
            # ENDED: the agent closed its side in order. In all other cases grpclib cancels the call by itself.
            if row[2] == ENDED:
                session.end(ENDED)
            elif stream.lazy is not None:
                self.closed(stream)
                self.close_later(stream.conn)
        else:
            return self._decode_rare(stream, session, row[2])
        return None

    def _decode_rare(self, stream: AgentStream, session: Session, data: bytes) -> Report | None:
        """Decode a whole message of a rare kind, or one that is newer than this server, with betterproto."""
        kind, value = kind_of(decode(data))
        if kind == "rejected" and isinstance(value, Rejected):
            return rows.to_rejected(session.host_id, value.command_id, value.attempt, value.reason, value.message)
        if kind == "heartbeat" and isinstance(value, Heartbeat):
            self._on_heartbeat(stream, value.beat, value.answer, value.running)
        return None

    def _on_heartbeat(self, stream: AgentStream, beat: int, answer: bool, running: int) -> None:
        session = stream.session
        assert session is not None
        session.running = min(running, RUNNING_MAX)
        if not answer:
            if session in self._unsent:
                stream.heartbeat_to_answer = beat  # leaves together with what waits already
            else:
                stream.conn.send([encode.heartbeat(beat, answer=True)])
                stream.last_sent = self._clock.now().mono

    def _reject_malformed(self, stream: AgentStream, reason: str) -> None:
        session = stream.session
        assert session is not None
        self._counts.refused("malformed_message")
        log.warning(
            "connection_refused",
            port="agent",
            reason="malformed_message",
            peer=session.peer,
            host_id=session.host_id,
            detail=reason,
        )
        session.end("malformed")
        self._finish(stream, grpc_error(ClarionError("malformed_message", reason)))

    async def _write(self) -> None:
        while True:
            await self._unsent.added.wait()
            self._unsent.reset()
            now = begun = self._clock.now().mono
            number = 0
            while (session := self._unsent.take()) is not None:
                self._flush(session, now)
                now = self._clock.now().mono
                number = number + 1
                if number % SENDS_IN_A_ROW == 0 or now - begun >= SECONDS_IN_A_ROW:
                    await let_other_tasks_run()
                    now = begun = self._clock.now().mono

    def _flush(self, session: Session, now: float) -> None:
        stream = self._open_streams.get(session.number)
        if stream is None:
            return
        if session.quick:
            self._poller.prefer(stream.conn, now + PREFERRED_SECONDS)
        messages = [self._encoder.encode(act, self._credits.for_message(session, act)) for act in session.take()]
        if messages:
            self._batcher.record_sent(now)
        if stream.heartbeat_to_answer is not None:
            messages.append(encode.heartbeat(stream.heartbeat_to_answer, answer=True))
            stream.heartbeat_to_answer = None
        if session.ended == DRAINING:
            messages.append(encode.drain(self._settings.drain_min, self._settings.drain_max))
        if messages:
            stream.conn.send(messages)
            stream.last_sent = now
        if session.ended is not None:
            self._close(stream, session.ended)

    def _close(self, stream: AgentStream, why: str) -> None:
        if why in FLOODS:
            stream.conn.refuse(ENHANCE_YOUR_CALM, FLOODS[why])
        stream.conn.detach()
        self._finish(stream, None if why in ORDERLY else GRPCError(END_STATUS[why], f"session ended: {why}"))

    def _finish(self, stream: AgentStream, error: GRPCError | None) -> None:
        stream.finish(error)
        if stream.lazy is not None:
            if self.draining:
                stream.lazy.goaway()
            self.closed(stream)
            self.close_later(stream.conn)

    def close_later(self, conn: Conn) -> None:
        """Close the connection after `goodbye`, so that the peer has time to read what was sent last."""
        self._closing.set(conn, self._clock.now().mono + self._settings.goodbye)

    async def _keep_time(self) -> None:
        """Send heartbeats and end silent sessions. No session counts as silent while the server does not read."""
        terms = self._settings.terms
        while True:
            await trio.sleep(self._settings.pulse)
            now = self._clock.now().mono
            self._pending.close_expired(now)
            self._poller.overdue(now)
            results, sessions = self._credits.take_due()
            for granted in sessions:
                if (owed := self._open_streams.get(granted.number)) is not None:
                    owed.conn.send([encode.credit(results)])
            for conn in self._closing.due(now):
                conn.abort()
            for stream in self._timers.due(now):
                session = stream.session
                if session is None or session.number not in self._open_streams:
                    continue
                heard = stream.conn.last_read
                session.record_read(self._clock.now(), heard)
                if now - heard >= terms.silence and not self._queue.full:
                    session.end("silent")
                    continue
                if stream.is_stalled(now, self._settings.send_timeout):
                    session.end("slow_reader")
                    stream.conn.abort("slow_reader")
                    continue
                if stream.last_sent == 0.0:  # the first message must be the Welcome, which waits for a commit
                    next_word = now + terms.heartbeat
                elif (next_word := stream.last_sent + BEAT_AFTER * terms.heartbeat) <= now:
                    # Answers to the agent's heartbeats count as sending, so few heartbeats of the server are needed.
                    stream.beat += 1
                    stream.conn.send([encode.heartbeat(stream.beat)])
                    stream.last_sent = now
                    next_word = now + terms.heartbeat
                self._timers.set(stream, min(next_word, max(now, heard + terms.silence)))
