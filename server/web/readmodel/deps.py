"""The parts of the server that the web room uses. The web room creates none of them and uses no globals."""

from __future__ import annotations

from dataclasses import dataclass, field

import trio

from server.core.records import Records
from server.fleet.identities import Identities
from server.fleet.join_requests import JoinRequests
from server.fleet.watching import OutputWatches
from server.ops.health import Health
from server.ops.metrics import Metrics
from server.ports import Clock, Commits, EngineHandle, Entropy, Fleet
from server.store.base import Store
from server.web.http.auth import TokenVerifier
from server.web.http.limits import Limits
from server.web.readmodel.long_work import LongWork
from server.web.readmodel.progress import LiveProgress


@dataclass(slots=True)
class EnrolmentAddress:
    """Address of the enrolment port.

    Attributes:
        address: Host and port once the port is open; None while no host can join.
    """

    address: tuple[str, int] | None = None


@dataclass(slots=True)
class Deps:
    """The parts of the server that the web room uses.

    Attributes:
        records: The nouns that are kept in memory.
        nursery: Runs writes that must complete although their client has disconnected. It must outlive `serve` and
            end after the writer has been flushed.
        shutdown: Set once, when the server begins to stop.
        limits: Replaced when an operator changes limits while the server runs.
    """

    engine: EngineHandle
    fleet: Fleet
    commits: Commits
    store: Store
    live: LiveProgress
    clock: Clock
    entropy: Entropy
    watching: OutputWatches
    tokens: TokenVerifier
    nursery: trio.Nursery
    shutdown: trio.Event
    metrics: Metrics
    health: Health
    version: str
    limits: Limits = field(default_factory=Limits)
    records: Records = field(default_factory=Records)
    identities: Identities = field(default_factory=Identities)
    join_requests: JoinRequests = field(default_factory=JoinRequests)
    ca_pin: str | None = None
    enrolment: EnrolmentAddress = field(default_factory=EnrolmentAddress)
    long_work: LongWork = field(default_factory=LongWork)
