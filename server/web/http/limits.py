"""What the HTTP side takes, at most. Those that are settings have the same name there (http.*, limits.*)."""

from __future__ import annotations

from dataclasses import dataclass, field

from server.core.selectors.expression import BOUNDS, Bounds
from server.web.http.proxies import TrustedProxies


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, times in seconds, the rest are counts."""

    max_body: int = 4 << 20
    max_json_depth: int = 32
    max_json_keys: int = 10_000
    max_json_values: int = 50_000
    compress_above: int = 8 << 10
    """Bytes of an answer from which it is compressed for a client that accepts gzip; 0: never."""
    body_timeout: float = 20.0
    send_timeout: float = 30.0
    """How long a peer may leave an answer unread before its connection is cut."""
    keep_alive: float = 15.0
    max_connections: int = 8_192
    connections_per_address: int = 1_024
    max_head: int = 16_384
    max_head_fields: int = 100
    proxies: TrustedProxies = field(default_factory=TrustedProxies)
    """http.trusted_proxies."""
    wait_max: float = 60.0
    wait_coalesce: float = 0.05
    """A long-poll that has seen a change that is not the last one waits this much longer, so that one answer carries
    many changes."""
    write_timeout: float = 30.0
    """How long a request waits for its commit before it answers store_unavailable."""
    retry_after: int = 2
    page_size: int = 50
    page_size_max: int = 500

    max_event_streams: int = 200
    """Streams of events open at once."""
    event_spacing: float = 0.2
    """Seconds between two updates of one viewer, at least."""
    viewer_updates: int = 100
    """Updates a second for all viewers together, about; with more than a fifth of it each gets them less often."""
    event_beat: float = 5.0
    """Seconds after which a viewer to whom nothing was sent gets a sign of life: a page that hears none says that it is
    not live, and
    whatever lies between keeps the connection."""
    tasks_per_viewer: int = 8
    session_idle: float = 43_200.0
    session_max_age: float = 604_800.0
    plain_session_idle: float = 3_600.0
    plain_session_max_age: float = 43_200.0
    wrong_logins: int = 5
    wrong_tokens: int = 60

    search_max_outputs: int = 500
    """Different outputs that one request may read to filter or to search, and their bytes."""
    search_max_bytes: int = 32 << 20
    search_max_tasks: int = 5_000
    """Tasks that one page of a list looks at where no index has them in order."""
    expressions: Bounds = BOUNDS
    """limits.expression_chars, limits.selector_names, limits.selector_patterns and limits.selector_comparisons."""
    answers_kept: int = 8
    """Tasks whose groups of answers are held in memory."""

    hosts_per_task: int = 20_000
    command_bytes: int = 65_536
    parameters: int = 64
    parameter_bytes: int = 4_096
    stdin_bytes: int = 1 << 20
    timeout_max: float = 2_592_000.0
    attempts: int = 10
    max_output: int = 1 << 40
    success_codes: int = 64
    name_chars: int = 200
    description_chars: int = 4_000
    labels: int = 64
    label_bytes: int = 256
    idempotency_key_chars: int = 128
