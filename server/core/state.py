"""What the engine knows, and the few ways to change it so that counts, saves and deadlines follow by themselves."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from _speedups.tally import Tally
from server.core.effects import Act, Cancel, Dispatch, Effects, Forget, Save, SaveSeq, SendTime
from server.core.events import Now
from server.core.figures.delivery import DeliveryTimes, WaitingGroup
from server.core.figures.statistics import Ledger
from server.core.model import Command, CommandHost, Task
from server.core.states import ExecutionStatus, ExecutionStep, TaskStep, execution_step, task_step
from server.core.timing.deadlines import Deadlines
from server.core.timing.timers import DelayedAcks, ElapsedCheckpoint, OfflineWait, StartGrace


@dataclass(frozen=True, slots=True)
class Limits:
    """All in executions or seconds. slice: how many of a fan-out one call of the engine takes on. small_task: hosts of
    a task that a larger
    one must not hold up, at most."""

    in_flight: int = 20_000
    in_flight_per_task: int = 20_000
    in_flight_per_host: int = 16
    slice: int = 200
    small_task: int = 16
    seq_block: int = 256
    """Dispatch numbers are reserved in the store in blocks of this size, so that not every dispatch writes a host's
    row."""
    waiting: int = 200_000
    waiting_per_host: int = 1_000
    """Executions that may wait for hosts that are not connected."""
    lost_after: float = 3600.0
    unanswered_after: float = 86_400.0
    """How long a host that is here is asked to end an execution. Long, because it may be us who are slow: a database
    that is down
    holds up what agents say."""
    mass_share: float = 0.3
    mass_hosts: int = 10
    mass_window: float = 60.0
    mass_pause: float = 300.0
    """More than this share of the hosts, and at least so many, gone within the window: it is taken for our own fault,
    and nothing
    is called lost during the pause."""
    forget_every: int = 64
    """Dispatch numbers that are over before an agent is told so."""
    start_grace: float = 60.0
    """After a start of the server, hosts that are still on their way back are not called offline for this long."""
    watchdog_margin: float = 30.0
    """Beyond timeout and grace before the server asks the agent again to end an execution."""
    cancel_retry: float = 30.0
    suspect_until: float = 60.0
    """How long a host must be here since a Hello that lacks what it had accepted, before that is believed: longer than
    a session whose other
    end is dead lasts, and than an agent that was cut off for it needs to come back."""
    claims: int = 1_000
    """Executions named in a Hello, and not open here, of which reports are expected; further ones are taken for
    invented."""
    orphans: int = 100
    """Executions of one host that the database knows nothing of and that are recorded; the store holds to it as
    well."""
    unsolicited_rate: int = 2 << 20
    unsolicited_burst: int = 32 << 20
    """Bytes of results for no open execution that are acknowledged at once, and per second after that. The others are
    acknowledged later, so
    that a host's credits hold it to this rate."""
    unsolicited_waiting: int = 128
    """Such results that may wait for their acknowledgement: twice as many as an agent has credits for. With more its
    session is cut."""
    lap: float = 60.0
    """How often the time that a task with a limit on it has run is saved: what a server that dies forgets of it at
    most."""


KEPT = 20
"""One in so many of all executions in flight is kept for small tasks."""
LONG_AGO = SendTime(float("-inf"))


@dataclass(slots=True, eq=False)
class Execution:
    """A row that is not final. departure: of its last dispatch."""

    row: CommandHost
    live: LiveTask
    ticket: int = 0
    asked: float | None = None
    """Since when its host, which is here, has been asked to end it."""
    suspect_until: float | None = None
    """Its host is here by a Hello that should name it and does not: when that is to be believed."""
    departure: SendTime = LONG_AGO
    since: WaitingGroup | None = None
    """It waits, with others, since then. None: it does not, or its task has not begun."""

    def __str__(self) -> str:
        return f"{self.row.command_id} on {self.row.host_id}"


@dataclass(frozen=True, slots=True)
class Stop:
    """Executions that are still to be told to end. reason: canceled, timeout or expired. force: given up if their host
    is away."""

    executions: deque[Execution]
    reason: str
    force: bool = False


@dataclass(slots=True, eq=False)
class LiveTask:
    """A task that is not final. waiting: not yet admitted; stopping: still to be told to end; limit: its own
    concurrency."""

    task: Task
    command: Command
    slot: int
    limit: int
    executions: dict[str, Execution] = field(default_factory=dict)
    waiting: deque[Execution] = field(default_factory=deque)
    stopping: deque[Stop] = field(default_factory=deque)
    patience: OfflineWait | None = None
    lap: ElapsedCheckpoint | None = None
    started: dict[str, None] = field(default_factory=dict)
    in_flight: int = 0
    small: bool = False
    """It has few hosts: larger tasks do not hold it up."""
    ticket: int = 0
    loaded: bool = False
    """It was not made in this run of the server."""
    made: bool = False
    """Its executions are, or were, in memory: until its start a task has none."""


@dataclass(slots=True, eq=False)
class HostState:
    """A host as the engine sees it. session: None while it is away. open: by command_id, dispatched or running.
    parked: admitted by its task, waiting for this host."""

    host_id: str
    session: int | None = None
    journal_id: str | None = None
    former: tuple[str, ...] = ()
    """Journals that it had before in this run, the last few."""
    capacity: int = 0
    seq: int = 0
    seq_reserved: int = 0
    seen: int = 0
    """The highest dispatch number that this host has met, or was sent in this run."""
    forgotten: int = 0
    loaded: bool = False
    """It was known when the server started."""
    epoch_seen: int = 0
    """The highest epoch that it has claimed to have met, as stored."""
    open: dict[str, Execution] = field(default_factory=dict)
    parked: dict[Execution, None] = field(default_factory=dict)
    claims: dict[tuple[str, int], None] = field(default_factory=dict)
    """What the last Hello named and is not open, with a number that was given out."""
    debt: float = 0.0
    """Monotonic seconds at which its unsolicited results are paid for, see strays.py."""
    owed: DelayedAcks | None = None


class EngineState:
    """State in memory plus what the current call has changed of it. Changed by the engine's handlers only."""

    def __init__(self, limits: Limits, chance: Callable[[], float], epoch: int) -> None:
        self.limits, self.chance, self.epoch = limits, chance, epoch
        self.tasks: dict[str, LiveTask] = {}
        self.by_command: dict[str, LiveTask] = {}
        self.peers: dict[str, HostState] = {}
        self.by_slot: dict[int, LiveTask] = {}
        self.tally = Tally()
        self.ledger = Ledger()
        self.measures = DeliveryTimes()
        self.deadlines: Deadlines[Execution | LiveTask | OfflineWait | ElapsedCheckpoint | StartGrace | DelayedAcks] = (
            Deadlines()
        )
        self.ready: OrderedDict[LiveTask, None] = OrderedDict()
        """Tasks that may have something to admit, the next in turn first; small ones apart, in `quick`."""
        self.quick: OrderedDict[LiveTask, None] = OrderedDict()
        self.stopping: OrderedDict[LiveTask, None] = OrderedDict()
        """Tasks of which executions are still to be told to end, the next in turn first."""
        self.in_flight = 0
        self.parked = 0
        self.connected = 0
        self.left: dict[str, float] = {}
        self.loss_suspended_until = 0.0
        self.contradictions = 0
        self.grace = StartGrace()
        self._free_slots: list[int] = []
        self._next_slot = 0
        self._begin()

    def _begin(self) -> None:
        self.now = Now(0.0, 0)
        self._saves: list[Save] = []
        self._acts: list[Act] = []
        self._departure = SendTime()
        self._dirty: dict[Execution, None] = {}
        self._moves: tuple[list[int], list[int], list[int]] = ([], [], [])
        self.touched: dict[LiveTask, None] = {}
        self.woken: OrderedDict[LiveTask, None] = OrderedDict()
        """Tasks for which this call itself has made room, or work."""
        self.halted: OrderedDict[LiveTask, None] = OrderedDict()
        """Tasks of which this call itself is to end executions."""

    def begin(self, now: Now) -> None:
        """Start of a call of the engine."""
        self._begin()
        self.now = now
        self._departure.decided = now.mono

    # --- tasks
    # ---------------------------------------------------------------------------------------------------------

    def add_task(self, task: Task, command: Command, counts: Sequence[int]) -> LiveTask:
        slot = self._free_slots.pop() if self._free_slots else self._next_slot
        self._next_slot += slot == self._next_slot
        limit = min(task.concurrency or self.limits.in_flight_per_task, self.limits.in_flight_per_task)
        live = LiveTask(task, command, slot, limit, small=task.total_hosts <= self.limits.small_task)
        self.tasks[task.task_id] = self.by_slot[slot] = self.by_command[command.command_id] = live
        self.tally.add(slot, counts)
        return live

    def drop_task(self, live: LiveTask) -> None:
        live.stopping.clear()  # of one that is deleted, some hosts may still be on their way out
        for turns in (self.ready, self.quick, self.stopping):
            turns.pop(live, None)
        self.deadlines.clear(live)
        for item in (live.patience, live.lap):
            if item is not None:
                self.deadlines.clear(item)
        self.tally.drop(live.slot)
        self._free_slots.append(live.slot)
        del self.tasks[live.task.task_id], self.by_slot[live.slot], self.by_command[live.command.command_id]

    def step_task(self, live: LiveTask, step: TaskStep) -> None:
        old = live.task.status
        live.task.status = task_step(live.task.task_id, old, step)
        self.ledger.moved(old, live.task.status)
        self.touched[live] = None

    def wake(self, live: LiveTask, *, soon: bool = True) -> None:
        """It may have something to admit. soon: in this very call, not only with the next slice."""
        if live.waiting:
            self.turns(live).setdefault(live)
            if soon:
                self.woken[live] = None

    def turns(self, live: LiveTask) -> OrderedDict[LiveTask, None]:
        """In which it takes its turn."""
        return self.quick if live.small else self.ready

    def room(self, live: LiveTask) -> int:
        """Executions in flight, of all tasks, below which one of this task may go: large tasks leave some for small
        ones."""
        most = self.limits.in_flight
        return most if live.small else most - most // KEPT

    # --- executions
    # ------------------------------------------------------------------------------------------------------

    def step(self, execution: Execution, step: ExecutionStep) -> None:
        """The only place where an execution's status changes. Raises IllegalStep."""
        row, live = execution.row, execution.live
        old = row.status
        new = execution_step(execution, old, step)
        row.status = new
        slots, olds, news = self._moves
        slots.append(live.slot)
        olds.append(old)
        news.append(new)
        self.changed(execution)
        if execution.since is not None:
            self.measures.waits_no_more(execution)
        if new.final:
            self._end(execution, was_open=old is not ExecutionStatus.PENDING)
        elif new is ExecutionStatus.RUNNING:
            live.started[row.host_id] = None
        elif new is ExecutionStatus.PENDING:
            self._leave(execution)

    def changed(self, execution: Execution) -> None:
        """Its row will be saved, as it is at the end of this call."""
        if execution not in self._dirty:
            execution.row.version += 1
            self._dirty[execution] = None

    def _end(self, execution: Execution, *, was_open: bool) -> None:
        row, live = execution.row, execution.live
        row.unreachable = False
        row.finished_at, row.retry_at = self.now.wall_ms, None
        self.deadlines.clear(execution)
        live.executions.pop(row.host_id, None)
        if was_open:
            self._leave(execution)
        elif (peer := self.peers.get(row.host_id)) is not None and execution in peer.parked:
            del peer.parked[execution]
            self.parked -= 1

    def _leave(self, execution: Execution) -> None:
        """It is no longer at its host: there is room for another one."""
        row, live = execution.row, execution.live
        peer = self.peers[row.host_id]
        live.started.pop(row.host_id, None)
        del peer.open[row.command_id]
        live.in_flight -= 1
        self.in_flight -= 1
        self.unpark(peer, 1, of=live)
        self.wake(live)

    def waits_for_absent(self, execution: Execution) -> bool:
        """It waits for a host that is not connected, and not on its way back after the server's start."""
        peer = self.peers.get(execution.row.host_id)
        return peer is not None and peer.session is None and not self.grace.ticket and execution in peer.parked

    def park(self, peer: HostState, execution: Execution) -> None:
        """It waits for this host, behind those that do already."""
        peer.parked[execution] = None
        self.parked += 1

    def unpark(self, peer: HostState, number: int, *, of: LiveTask | None = None) -> None:
        """Give up to `number` executions that wait for this host back to their tasks, to be considered first, in the
        order in which
        they came. of: the task that has made room; then other large tasks go on with the next slice only."""
        returned = list(islice(peer.parked, number))
        self.parked -= len(returned)
        for execution in returned:
            del peer.parked[execution]
        for execution in reversed(returned):
            execution.live.waiting.appendleft(execution)
        for execution in returned:
            live = execution.live
            self.wake(live, soon=live.small or of is None or live is of)

    # --- what goes out
    # -----------------------------------------------------------------------------------------------------

    def save(self, save: Save) -> None:
        self._saves.append(save)

    def act(self, act: Act) -> None:
        self._acts.append(act)

    def dispatch(self, session: int, execution: Execution, seq: int) -> None:
        row = execution.row
        execution.departure = self._departure
        self.act(Dispatch(row.host_id, session, execution.live.command, row.attempt, seq, execution.live.small))

    def next_seq(self, peer: HostState) -> int:
        peer.seq += 1
        if peer.seq > peer.seq_reserved:
            peer.seq_reserved = peer.seq + self.limits.seq_block - 1
            self.save(SaveSeq(peer.host_id, peer.seq_reserved))
        peer.seen = peer.seq
        return peer.seq

    def send_cancel(self, execution: Execution) -> None:
        """To a host that is connected; to others it goes with the verdicts when they return. Not while it is in doubt:
        who has no trace
        of it would say that it never started.

        The agent is told why, so that its report says the same.
        """
        row = execution.row
        reason = row.cancel_reason or execution.live.task.cancel_reason or "canceled"
        peer = self.peers[row.host_id]
        if (
            peer.session is not None
            and row.journal_id is not None
            and row.seq is not None
            and execution.suspect_until is None
        ):
            self.act(Cancel(row.host_id, peer.session, row.command_id, row.attempt, row.seq, row.journal_id, reason))

    def forget(self, peer: HostState, every: int) -> None:
        """Tell the agent up to which number everything is over, if that has moved on by so many. Nothing open has such
        a number."""
        if peer.session is not None and peer.seen - peer.forgotten >= every:
            low = min((execution.row.seq or 1 for execution in peer.open.values()), default=peer.seen + 1) - 1
            if low - peer.forgotten >= every:
                peer.forgotten = low
                self.act(Forget(peer.host_id, peer.session, low))

    def apply_moves(self) -> None:
        slots, olds, news = self._moves
        if slots:
            self.tally.apply(slots, olds, news)
            self._moves = ([], [], [])

    def dirty(self) -> list[Execution]:
        return list(self._dirty)

    def effects(self) -> Effects:
        return Effects(self._saves, self._acts, self._departure)
