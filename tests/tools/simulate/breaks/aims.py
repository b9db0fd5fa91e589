"""World parameters that make the situation of a break frequent enough for a few hundred seeds."""

from __future__ import annotations

DUPLICATES = {
    "enabled": frozenset({"duplicate", "link_cut", "disk_error"}),
    "strike": 0.5,
    "often": 1.5,
    "slots": 1,
    "hosts": 1,
    "tasks": 8,
    "seconds": 60.0,
}
POWER = {"enabled": frozenset({"host_reboot", "link_cut"}), "often": 1.5, "longest": 10.0, "tasks": 8, "seconds": 60.0}
OUTAGES = {"enabled": frozenset({"db_down", "db_stall", "link_slow"}), "often": 1.5, "tasks": 8, "seconds": 60.0}
LATE = {"enabled": frozenset({"link_one_way", "link_cut"}), "often": 1.5, "tasks": 8, "longest": 40.0, "seconds": 60.0}
OLDER = {
    "enabled": frozenset({"db_restored"}),
    "often": 10.0,
    "tasks": 8,
    "slots": 1,
    "longest": 10.0,
    "seconds": 60.0,
    "seq_block": 256,
    "tombstones": 10_000,
}
CLOCKS = {
    "enabled": frozenset({"server_clock", "server_kill", "server_stop"}),
    "often": 1.5,
    "tasks": 8,
    "seconds": 60.0,
}
SILENCE = {
    "enabled": frozenset({"partition", "link_half_open", "link_cut"}),
    "often": 1.5,
    "hosts": 3,
    "mass_hosts": 2,
    "lost_after": 20.0,
    "seconds": 180.0,
}
TWINS = {"enabled": frozenset({"server_twin", "link_cut"}), "often": 4.0, "tasks": 8, "seconds": 60.0}
GONE = {"enabled": frozenset({"server_kill", "host_gone"}), "often": 1.5, "tasks": 8, "longest": 40.0, "seconds": 60.0}
STOPS = {
    "enabled": frozenset({"agent_stop", "agent_kill", "link_slow"}),
    "often": 1.0,
    "hosts": 1,
    "tasks": 8,
    "longest": 10.0,
    "seconds": 60.0,
}
PASSING = {
    "enabled": frozenset({"db_stall", "server_kill", "server_point", "link_cut"}), "strike": 0.2, "often": 1.5, "hosts": 3, "tasks": 8, "slots": 16,  # noqa: E501
    "slice": 500, "in_flight": 20_000, "small_rows": 2, "max_rows": 1, "small_task": 1, "seq_block": 3, "forget_every": 1, "seconds": 60.0,  # noqa: E501
}  # fmt: skip
WIPED = {
    "enabled": frozenset({"host_wiped", "link_one_way", "link_half_open"}),
    "often": 1.5,
    "tasks": 8,
    "seconds": 60.0,
}
