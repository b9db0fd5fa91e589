"""Limits of the REST API and the page. A limit that is a setting has the setting's name and default."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from server.core.selectors.expression import Bounds
from server.settings.networks import networks
from server.settings.sections.http import Http
from server.settings.sections.limits import Limits as TaskLimits
from server.web.http.proxies import TrustedProxies

_HTTP, _TASK = Http(), TaskLimits()


def _bounds(limits: TaskLimits = _TASK) -> Bounds:
    return Bounds(limits.expression_chars, limits.selector_names, limits.selector_patterns, limits.selector_comparisons)


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes are in bytes, times in seconds; the rest are counts."""

    # settings of the section `http`; its file describes them
    max_body: int = _HTTP.max_body
    max_json_depth: int = _HTTP.max_json_depth
    max_json_keys: int = _HTTP.max_json_keys
    max_json_values: int = _HTTP.max_json_values
    compress_above: int = _HTTP.compress_above
    body_timeout: float = _HTTP.body_timeout
    send_timeout: float = _HTTP.send_timeout
    keep_alive: float = _HTTP.keep_alive
    max_connections: int = _HTTP.max_connections
    connections_per_address: int = _HTTP.connections_per_address
    max_head: int = _HTTP.max_head
    max_head_fields: int = _HTTP.max_head_fields
    wait_max: float = _HTTP.wait_max
    write_timeout: float = _HTTP.write_timeout
    page_size_max: int = _HTTP.page_size_max
    max_event_streams: int = _HTTP.max_event_streams
    viewer_updates: int = _HTTP.viewer_updates
    event_beat: float = _HTTP.event_beat
    session_idle: float = _HTTP.session_idle
    session_max_age: float = _HTTP.session_max_age
    plain_session_idle: float = _HTTP.plain_session_idle
    plain_session_max_age: float = _HTTP.plain_session_max_age
    wrong_logins: int = _HTTP.wrong_logins
    wrong_tokens: int = _HTTP.wrong_tokens
    search_max_outputs: int = _HTTP.search_max_outputs
    search_max_bytes: int = _HTTP.search_max_bytes
    search_max_tasks: int = _HTTP.search_max_tasks
    answers_kept: int = _HTTP.answers_kept

    # settings of the section `limits`
    hosts_per_task: int = _TASK.hosts_per_task
    command_bytes: int = _TASK.command_bytes
    parameters: int = _TASK.parameters
    parameter_bytes: int = _TASK.parameter_bytes
    stdin_bytes: int = _TASK.stdin_bytes
    timeout_max: float = _TASK.timeout_max
    attempts: int = _TASK.attempts

    section: TaskLimits = _TASK
    """The whole section `limits`; a noun reads its own limit from it."""

    # made from several settings
    proxies: TrustedProxies = field(default_factory=TrustedProxies)
    """http.trusted_proxies."""
    expressions: Bounds = field(default_factory=_bounds)
    """limits.expression_chars, limits.selector_names, limits.selector_patterns and limits.selector_comparisons."""

    # fixed
    page_size: int = 50
    """Default number of items on a page."""
    retry_after: int = 2
    """Seconds in the header Retry-After of responses with status 429 and 503."""
    wait_coalesce: float = 0.05
    """A long poll that has seen a change waits this much longer for further changes, so that one response carries
    several."""
    event_spacing: float = 0.2
    """Minimum seconds between two updates of one viewer."""
    tasks_per_viewer: int = 8
    """Tasks that one event stream may watch."""
    max_output: int = 1 << 40
    success_codes: int = 64
    name_chars: int = 200
    description_chars: int = 4_000
    labels: int = 64
    """Labels of one host."""
    label_bytes: int = 256
    idempotency_key_chars: int = 128
    pattern_chars: int = 256
    """Characters of a pattern for names or commands of tasks."""
    pattern_stars: int = 8
    """Stars in such a pattern, because the database compares it with every task that it examines."""
    wait_accepted: float = 86_400.0
    """Largest `wait` that a long poll accepts; the server waits at most wait_max."""
    select_sample: int = 500
    """Hosts that a selection lists one by one."""
    diff_context: int = 100
    """Equal lines around each change of a diff."""
    search_text_bytes: int = 1_000
    """Length of the text in a full-text search."""

    @classmethod
    def from_settings(cls, http: Http, limits: TaskLimits) -> Limits:
        """The limits that the settings of these sections describe."""
        values = {
            one.name: getattr(section, one.name)
            for section in (http, limits)
            for one in fields(cls)
            if hasattr(section, one.name)
        }
        proxies = TrustedProxies(networks(http.trusted_proxies or ""))
        return cls(**values, section=limits, proxies=proxies, expressions=_bounds(limits))
