"""All agents at once: one task reads every socket through the lane, one writes, one keeps time. No task per agent does
any work.

grpclib owns the life of each call; between Hello and goodbye its messages pass it by (see
_speedups/http2/connection_py.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

import structlog
import trio
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from _speedups.http2.limits import ENHANCE_YOUR_CALM
from proto.messages import Heartbeat, MalformedMessage, Rejected, decode, kind_of
from server.core.events import HostDisconnected, Report, Result
from server.core.inputs.bounds import RUNNING_MAX
from server.errors import ClarionError
from server.fleet.registry import Registry
from server.fleet.session import Session
from server.ports import Clock, EngineHandle
from server.rpc.accept.abuse import refusal
from server.rpc.connection.lazy_grpc import LazyGrpcConnection
from server.rpc.session import decode as rows
from server.rpc.session import encode
from server.rpc.session.encode import Encoder
from server.rpc.session.endings import DRAINING, END_STATUS, ENDED, FLOODS, HEARD, IN_ORDER
from server.rpc.session.pending import PendingConnection
from server.rpc.session.read_batching import NAP, ReadBatcher
from server.rpc.session.report_slices import apart
from server.rpc.session.result_credits import Credits
from server.rpc.session.send_queue import SendQueue
from server.rpc.session.timer_wheel import Wheel
from server.rpc.settings import Counts, Queue, Settings
from server.turns import let_other_tasks_run

log = structlog.get_logger("rpc")

SENDS_IN_A_ROW, SECONDS_IN_A_ROW = 64, 0.003
"""After so many sends, or so long, the loop gets a turn; how long one takes is for the kernel to say."""
READ_AT_ONCE, BULK = 48, 16
"""Connections of one slice, handled in one turn of the loop; and rows in it from which on others get turns of the loop
before the next."""
PREFERRED_SECONDS = 1.0
"""For which a connection is read before others, after a command of a task with few hosts was sent to it."""
HELLO, HEARTBEAT, GONE, BROKEN = 3, 12, -1, 0
KINDS = {1: "command_content", 2: "command_result", 5: "accepted", 7: "started", 8: "output", 12: "heartbeat"}
PATIENCE = 1.25
"""Heartbeat intervals of our own silence after which we beat. An agent's beats come up to a tenth late, and their
answers are words too."""
FOREVER = float("inf")


class AgentStream:
    """A call on a connection of the lane, which has this object as the tag of its rows. session: None until the Hello
    is accepted.

    front: of a call that came the short way. over: of another one; resolved with None for OK, or with the error that
    ends the call.
    """

    __slots__ = ("_owed", "_since", "answer", "beat", "conn", "front", "over", "said", "session")

    def __init__(self, conn: Any, front: LazyGrpcConnection | None = None) -> None:
        self.conn, self.front = conn, front
        self.session: Session | None = None
        self.over: asyncio.Future[GRPCError | None] | None = (
            None if front is not None else asyncio.get_running_loop().create_future()
        )
        self.answer: int | None = None
        self.beat = 0
        self.said = self._owed = self._since = 0.0

    def takes_nothing(self, now: float, patience: float) -> bool:
        """Whether something waits to be sent, and not all of what waited at least `patience` seconds ago has left."""
        queued = self.conn.queued_bytes
        if queued == 0:
            self._since = 0.0
            return False
        sent = self.conn.counts()["bytes_out"]
        if self._since == 0.0 or sent >= self._owed:
            self._since, self._owed = now, sent + queued
            return False
        return now - self._since >= patience

    def finish(self, error: GRPCError | None) -> None:
        if self.front is not None:
            self.front.finish(error)
        elif self.over is not None and not self.over.done():
            self.over.set_result(error)


class HelloHandler(Protocol):
    """Whoever judges what a call that came the short way begins with."""

    def greet(self, live: AgentStream, message: bytes) -> None: ...

    def refuse(self, live: AgentStream, reason: str, detail: str, error: GRPCError) -> None: ...


class AgentStreams:
    """`run` must be running. `open` is called by the handshake once a Hello is accepted, `closed` when the call is
    over."""

    def __init__(
        self,
        poller: Any,
        registry: Registry,
        door: EngineHandle,
        queue: Queue,
        clock: Clock,
        settings: Settings,
        counts: Counts,
    ) -> None:
        self._poller, self._registry, self._door, self._queue = poller, registry, door, queue
        self._clock, self._settings, self._counts = clock, settings, counts
        self._encoder = Encoder(settings.terms)
        self._live: dict[int, AgentStream] = {}
        self._leaving: Wheel[Any] = Wheel(settings.pulse, clock.now().mono)
        self.first: HelloHandler | None = None
        self._unsent = SendQueue()
        self._credits = Credits(settings.terms.credits, queue)
        self._wheel: Wheel[AgentStream] = Wheel(settings.pulse, clock.now().mono)
        self._expected: Wheel[Any] = Wheel(settings.pulse, clock.now().mono)
        self._connected: dict[Any, PendingConnection] = {}
        self._drains: list[Callable[[], None]] = []
        self.draining = False
        self._pace = ReadBatcher()

    # --- the life of a session
    # ---------------------------------------------------------------------------------------------

    def expect(self, conn: Any, goaway: Callable[[], None]) -> None:
        """A connection without a Hello or a `caller` within `hello_timeout` is cut off, whatever else it does.

        goaway: tells the other end that no further stream is taken. `gone` must follow.
        """
        until = self._clock.now().mono + self._settings.hello_timeout
        self._connected[conn] = PendingConnection(goaway, until)
        self._expected.set(conn, until)

    def caller(self, conn: Any) -> None:
        """This connection asks for health or reflection, and may; after `caller_age` it must come again, unless it is
        an agent's."""
        comer = self._connected.get(conn)
        if comer is not None and not comer.asks and comer.until != FOREVER:
            comer.asks, comer.until = True, self._clock.now().mono + self._settings.caller_age
            self._expected.set(conn, comer.until)

    def gone(self, conn: Any) -> None:
        self._connected.pop(conn, None)

    def open(self, live: AgentStream, host_id: str, peer: str) -> Session:
        """The Hello is accepted."""
        if (comer := self._connected.get(live.conn)) is not None:
            comer.until = FOREVER
        now = self._clock.now()
        session = live.session = self._registry.attach(host_id, peer, now.wall_ms, self._unsent.add)
        self._live[session.number] = live
        self._wheel.set(live, now.mono + self._settings.terms.heartbeat)
        self._counts.session_opened()
        return session

    def closed(self, live: AgentStream) -> None:
        """The call is over, one way or the other. Under asyncio, before grpclib ends it, if it came the long way."""
        session = live.session
        if session is None or self._live.pop(session.number, None) is None:
            return
        if self.draining and live.front is None and (comer := self._connected.get(live.conn)) is not None:
            # After the call's end: h2, as a client, takes no frame of any stream after a GOAWAY.
            asyncio.get_running_loop().call_soon(comer.goaway)
        session.hear(self._clock.now(), live.conn.last_read)
        self._counts.session_closed()
        log.info("session closed", host_id=session.host_id, session=session.number, why=session.ended or "connection")
        if self._registry.detach(session) and not self.draining:
            self._door.submit(HostDisconnected(session.host_id, session.number))

    def when_draining(self, call: Callable[[], None]) -> None:
        """Have this called when `drain` is."""
        self._drains.append(call)

    def drain(self) -> None:
        """Tell every agent to come back later, spread over a range, and close; everybody else that no call is taken any
        more.
        What runs goes on running."""
        self.draining = True
        for call in self._drains:
            call()
        for session in self._registry.sessions():
            session.end(DRAINING)
        for comer in list(self._connected.values()):
            if comer.until != FOREVER:  # an agent is told when its call has ended
                comer.goaway()

    # --- the three tasks
    # -----------------------------------------------------------------------------------------------------

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
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
            if rest := self._pace.rest(now):
                await trio.sleep(rest)
                now = self._clock.now().mono
            batch = self._poller.poll(now, READ_AT_ONCE)
            self.take(batch, now)
            if len(batch) >= BULK:
                await let_other_tasks_run()
            if self._pace.idle(now):
                with trio.move_on_after(NAP):
                    await self._unsent.stirred.wait()

    def take(self, batch: list[tuple[Any, ...]], now: float) -> None:
        """One slice of rows: all events in it are one transaction, or few (see apart.py)."""
        events: list[Report] = []
        self._pace.read(len(batch), all(row[1] == HEARTBEAT for row in batch), now)
        for row in batch:
            live: AgentStream = row[0]
            if live.session is None:
                self._first(live, row)
            elif live.session.number in self._live and live.session.ended in HEARD:
                try:
                    event = self._understand(live, row)
                except MalformedMessage as error:
                    self._broken(live, str(error))
                else:
                    if event is not None:
                        events.append(event)
        if events:
            for some in apart(events) if self._queue.lags else (events,):
                self._door.submit(*some)

    def _first(self, live: AgentStream, row: tuple[Any, ...]) -> None:
        """What a call that came the short way begins with."""
        kind, first = row[1], self.first
        assert first is not None, "whoever attaches calls without a session has set it"
        if kind == HELLO:
            first.greet(live, row[2])
        elif kind == BROKEN and row[2].startswith("message too large"):
            first.refuse(live, "message_too_large", row[2], GRPCError(Status.RESOURCE_EXHAUSTED, row[2]))
        elif kind == BROKEN:
            first.refuse(live, "malformed_message", row[2], refusal(ClarionError("malformed_message", row[2])))
        elif kind == GONE:
            if row[2] in (ENDED, "reset"):
                first.refuse(
                    live,
                    "no_hello",
                    "the call ended before",
                    GRPCError(Status.INVALID_ARGUMENT, "ended before its hello"),
                )
        else:
            words = f"the first message must be hello, not {KINDS.get(kind, 'of an unknown kind')}"
            first.refuse(live, "malformed_message", words, refusal(ClarionError("hello_expected", words)))

    def _understand(self, live: AgentStream, row: tuple[Any, ...]) -> Report | None:
        kind, session = row[1], live.session
        assert session is not None
        if kind in rows.EVENTS:
            event = rows.event(session.host_id, row)
            if isinstance(event, Result):
                if event.execution_ms is not None:
                    self._counts.command_reported(event.execution_ms / 1000)
                self._registry.watching.ended(event.host_id, event.command_id, event.attempt)
            return event
        if kind == HEARTBEAT:
            self._heard(live, beat=row[2], answer=row[3], running=row[4])
        elif kind == rows.OUTPUT:
            self._registry.watching.take(session, *rows.output(row))
        elif kind == BROKEN:
            self._broken(live, row[2])
        elif kind == GONE:
            # "ended": the agent has closed its side in order. Whatever else it is, grpclib cancels the call by itself.
            if row[2] == ENDED:
                session.end(ENDED)
            elif live.front is not None:
                self.closed(live)
                self.leave(live.conn)
        else:
            return self._cold(live, session, row[2])
        return None

    def _cold(self, live: AgentStream, session: Session, data: bytes) -> Report | None:
        """Kinds that are rare, or newer than this server: whole messages, read by betterproto."""
        kind, value = kind_of(decode(data))
        if kind == "rejected" and isinstance(value, Rejected):
            return rows.rejected(session.host_id, value.command_id, value.attempt, value.reason, value.message)
        if kind == "heartbeat" and isinstance(value, Heartbeat):
            self._heard(live, value.beat, value.answer, value.running)
        return None

    def _heard(self, live: AgentStream, beat: int, answer: bool, running: int) -> None:
        session = live.session
        assert session is not None
        session.running = min(running, RUNNING_MAX)
        if not answer:
            if session in self._unsent:
                live.answer = beat  # leaves together with what waits already
            else:
                live.conn.send([encode.heartbeat(beat, answer=True)])
                live.said = self._clock.now().mono

    def _broken(self, live: AgentStream, reason: str) -> None:
        session = live.session
        assert session is not None
        self._counts.refused("malformed_message")
        log.warning(
            "connection refused",
            port="agent",
            reason="malformed_message",
            peer=session.peer,
            host_id=session.host_id,
            detail=reason,
        )
        session.end("malformed")
        self._over(live, refusal(ClarionError("malformed_message", reason)))

    async def _write(self) -> None:
        while True:
            await self._unsent.stirred.wait()
            self._unsent.begin()
            now = begun = self._clock.now().mono
            number = 0
            while (session := self._unsent.take()) is not None:
                self._flush(session, now)
                now, number = self._clock.now().mono, number + 1
                if number % SENDS_IN_A_ROW == 0 or now - begun >= SECONDS_IN_A_ROW:
                    await let_other_tasks_run()
                    now = begun = self._clock.now().mono

    def _flush(self, session: Session, now: float) -> None:
        live = self._live.get(session.number)
        if live is None:
            return
        if session.quick:
            self._poller.prefer(live.conn, now + PREFERRED_SECONDS)
        messages = [self._encoder.encode(act, self._credits.of(session, act)) for act in session.take()]
        if messages:
            self._pace.sent(now)
        if live.answer is not None:
            messages.append(encode.heartbeat(live.answer, answer=True))
            live.answer = None
        if session.ended == DRAINING:
            messages.append(encode.drain(self._settings.drain_min, self._settings.drain_max))
        if messages:
            live.conn.send(messages)
            live.said = now
        if session.ended is not None:
            self._end(live, session.ended)

    def _end(self, live: AgentStream, why: str) -> None:
        if why in FLOODS:
            live.conn.refuse(ENHANCE_YOUR_CALM, FLOODS[why])
        live.conn.detach()
        self._over(live, None if why in IN_ORDER else GRPCError(END_STATUS[why], f"session ended: {why}"))

    def _over(self, live: AgentStream, error: GRPCError | None) -> None:
        live.finish(error)
        if live.front is not None:
            if self.draining:
                live.front.goaway()
            self.closed(live)
            self.leave(live.conn)

    def leave(self, conn: Any) -> None:
        """Nothing more comes of this connection: close it, when the peer has had time to read what was said last."""
        self._leaving.set(conn, self._clock.now().mono + self._settings.goodbye)

    async def _keep_time(self) -> None:
        """Heartbeats, and who has been silent for too long. Nobody is called silent while we are not listening."""
        terms = self._settings.terms
        while True:
            await trio.sleep(self._settings.pulse)
            now = self._clock.now().mono
            self._cut_silent(now)
            self._poller.overdue(now)
            results, sessions = self._credits.granted()
            for granted in sessions:
                if (owed := self._live.get(granted.number)) is not None:
                    owed.conn.send([encode.credit(results)])
            for conn in self._leaving.due(now):
                conn.abort()
            for live in self._wheel.due(now):
                session = live.session
                if session is None or session.number not in self._live:
                    continue
                heard = live.conn.last_read
                session.hear(self._clock.now(), heard)
                if now - heard >= terms.silence and not self._queue.full:
                    session.end("silent")
                    continue
                if live.takes_nothing(now, self._settings.send_timeout):
                    session.end("slow_reader")
                    live.conn.abort("slow_reader")
                    continue
                if live.said == 0.0:  # the first word must be Welcome, and that waits for a commit
                    next_word = now + terms.heartbeat
                elif (next_word := live.said + PATIENCE * terms.heartbeat) <= now:
                    # Answering the agent's own beats is a word too: with both sides beating, hardly any beat of ours is
                    # needed.
                    live.beat += 1
                    live.conn.send([encode.heartbeat(live.beat)])
                    live.said = now
                    next_word = now + terms.heartbeat
                self._wheel.set(live, min(next_word, max(now, heard + terms.silence)))

    def _cut_silent(self, now: float) -> None:
        for conn in self._expected.due(now):
            comer = self._connected.get(conn)
            if comer is None or conn.closed or now < comer.until:
                continue
            if comer.asks:
                comer.goaway()
                conn.close()
            else:
                conn.abort("no_hello")
