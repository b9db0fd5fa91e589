"""Old names of settings. The server still accepts them and writes a warning with the new name for each."""

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
"""Section to old name to new name."""


@cache
def current_names() -> dict[str, str]:
    """Map each old dotted key to the new one."""
    return {f"{section}.{old}": f"{section}.{new}" for section, names in RENAMED.items() for old, new in names.items()}


def variable(key: str) -> str:
    """Return the environment variable of a dotted key."""
    return "CLARION_" + key.replace(".", "_").upper()


def warning(old: str, new: str, source: str) -> str:
    """Return the warning for the operator. `source` tells where the old name was found, as in `Loaded.sources`."""
    return f"{old} ({source}) is now called {new}; the old name still works, but a later version may refuse it"
