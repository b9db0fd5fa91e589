"""Everything the web room is given. It makes none of these itself and reaches for no global."""

from __future__ import annotations

from dataclasses import dataclass, field

import trio

from server.fleet.identities import Identities
from server.fleet.join_requests import JoinRequests
from server.fleet.watching import OutputWatches
from server.ops.health import Health
from server.ops.metrics import Metrics
from server.ports import Clock, Commits, EngineHandle, Entropy, Fleet
from server.store.base import Store
from server.web.http.auth import TokenVerifier
from server.web.http.limits import Limits
from server.web.readmodel.progress import Live
from server.web.readmodel.slices import Slices


@dataclass(slots=True)
class Joining:
    """address: of the enrolment port, once it is open; None: nobody can join."""

    address: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Deps:
    """nursery: where writes run that must end well although their client has hung up; it must outlive `serve` and end
    after the
    writer has been flushed. shutdown: set once, when the server begins to stop."""

    engine: EngineHandle
    fleet: Fleet
    commits: Commits
    store: Store
    live: Live
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
    identities: Identities = field(default_factory=Identities)
    requests: JoinRequests = field(default_factory=JoinRequests)
    ca_pin: str | None = None
    enrolment: Joining = field(default_factory=Joining)
    slices: Slices = field(default_factory=Slices)
