"""Limits of the engine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EngineLimits:
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
    elapsed_checkpoint_interval: float = 60.0
    """How often the time that a task with a limit on it has run is saved: what a server that dies forgets of it at
    most."""
