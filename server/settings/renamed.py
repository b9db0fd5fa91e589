"""Old names of settings. They are still accepted, and each use gives a warning that names the new one."""

from __future__ import annotations

from functools import cache

RENAMED: dict[str, dict[str, str]] = {
    "http": {
        "scan_outputs": "search_max_outputs",
        "scan_bytes": "search_max_bytes",
        "scan_tasks": "search_max_tasks",
        "viewers": "max_event_streams",
        "session_longest": "session_max_age",
        "plain_session_longest": "plain_session_max_age",
    },
    "agent_port": {
        "results_unacknowledged": "max_unacked_results",
        "caller_age": "probe_connection_ttl",
    },
    "guard": {
        "grave_refusals": "abuse_weight",
        "shut_out_seconds": "tarpit_seconds",
        "shut_out_connections": "tarpit_connections",
    },
    "enrol": {
        "takeovers": "max_takeovers",
    },
    "limits": {
        "watched": "live_output_executions",
        "watched_bytes": "live_output_bytes",
        "watched_rate": "live_output_rate",
        "watched_rate_total": "live_output_rate_total",
    },
    "liveness": {
        "silence": "heartbeat_timeout",
        "time_saved_every": "elapsed_checkpoint_interval",
    },
}
"""section → old name → new name"""


@cache
def current_names() -> dict[str, str]:
    """Old dotted key → new dotted key."""
    return {f"{section}.{old}": f"{section}.{new}" for section, names in RENAMED.items() for old, new in names.items()}


def variable(key: str) -> str:
    """The environment variable of a dotted key."""
    return "CLARION_" + key.replace(".", "_").upper()


def warning(old: str, new: str, source: str) -> str:
    """Text for the operator. `source`: where the old name was found, as in `Loaded.sources`."""
    return f"{old} ({source}) is now called {new}; the old name is still accepted, and a later version may refuse it"
