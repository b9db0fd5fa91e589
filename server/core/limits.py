"""Limits of the engine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """Limits of the engine, in executions or seconds unless a field says otherwise.

    A limit that is a setting has its default here; server/settings/sections refers to it.
    """

    in_flight: int = 20_000
    """Dispatched or running executions, over all tasks."""
    in_flight_per_task: int = 20_000
    """Dispatched or running executions of one task. A task may set a lower limit for itself."""
    in_flight_per_host: int = 16
    """Dispatched or running executions on one host. An agent with fewer slots lowers it for its host."""
    slice: int = 200
    """Executions that one call of the engine dispatches or stops. The rest of a fan-out waits for the next call."""
    small_task: int = 16
    """Largest number of hosts of a task that larger tasks must not delay."""
    seq_block: int = 256
    """Dispatch numbers that one write reserves for a host, so that not every dispatch writes the host's row."""
    waiting: int = 200_000
    """Executions that may wait for offline hosts, over all hosts."""
    waiting_per_host: int = 1_000
    """Executions that may wait for one offline host."""
    lost_after: float = 3600.0
    """A running execution becomes lost when its host is offline for this long."""
    unanswered_after: float = 86_400.0
    """The server repeats a request to end an execution to an online host for this long; then the execution becomes
    lost.

    The limit is long because the delay may be the server's own: a database that is down holds up agents' reports.
    """
    mass_share: float = 0.3
    """Share of the hosts that must disconnect within `mass_window` to count as a mass disconnect."""
    mass_hosts: int = 10
    """Number of hosts that must also disconnect within `mass_window`."""
    mass_window: float = 60.0
    """Seconds over which disconnects are counted."""
    mass_pause: float = 300.0
    """After a mass disconnect no execution becomes lost for this long, because the fault is probably the server's
    own.
    """
    forget_every: int = 64
    """Finished dispatch numbers after which the server tells the agent that it may forget them."""
    start_grace: float = 60.0
    """Hosts do not count as offline for this long after a start of the server, because they are still reconnecting."""
    watchdog_margin: float = 30.0
    """Time beyond timeout and grace after which the server itself asks the agent to end an execution."""
    cancel_retry: float = 30.0
    """Time beyond the grace after which an unanswered request to end an execution is repeated."""
    suspect_until: float = 60.0
    """An execution that its host accepted and then denies becomes lost when the host stays connected for this long.

    The time must be longer than a dead session needs to time out and longer than a disconnected agent needs to
    return.
    """
    claims: int = 1_000
    """Executions of one Hello that are not open at the server and whose reports the server expects. Further ones count
    as invented.
    """
    orphans: int = 100
    """Executions of one host that are recorded although the database has no row for them. The store has the same
    limit.
    """
    unsolicited_rate: int = 2 << 20
    """Bytes per second of unsolicited results that are acknowledged without delay; see results/unmatched.py.

    Later acknowledgements keep the agent's credits in use, which limits the host to this rate.
    """
    unsolicited_burst: int = 32 << 20
    """Bytes of unsolicited results that are acknowledged at once, before the rate applies."""
    unsolicited_waiting: int = 128
    """Unsolicited results that may wait for their acknowledgement. The server ends the session of a host that sends
    more.

    The limit is twice the number of results for which an agent has credits.
    """
    elapsed_checkpoint_interval: float = 60.0
    """Interval at which the elapsed time of a task with a time limit is saved. A killed server forgets at most this
    much.
    """
