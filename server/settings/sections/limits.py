"""Limits on tasks, commands and executions in flight: section `[limits]`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Struct

from server.core.limits import EngineLimits
from server.settings.field_types import GIB, KIB, MIB, bounded

_ENGINE = EngineLimits()
"""The engine knows no settings: it declares the defaults of its limits."""


class Limits(Struct, frozen=True, kw_only=True):
    """Limits on tasks, commands and executions in flight."""

    in_flight: Annotated[
        int,
        bounded(
            1,
            1_000_000,
            "Maximum number of executions that are sent or running, over all tasks. One in twenty is reserved for "
            "tasks of at most 16 hosts.",
        ),
    ] = _ENGINE.in_flight
    in_flight_per_task: Annotated[
        int,
        bounded(
            1,
            1_000_000,
            "Maximum number of executions of one task that are sent or running. A task may request fewer with "
            "`concurrency`.",
        ),
    ] = _ENGINE.in_flight_per_task
    in_flight_per_host: Annotated[
        int, bounded(1, 1024, "Maximum number of executions on one host that are sent or running.")
    ] = _ENGINE.in_flight_per_host
    waiting: Annotated[
        int,
        bounded(0, 10_000_000, "Maximum number of executions that wait for offline hosts (`if_offline = wait`)."),
    ] = _ENGINE.waiting
    waiting_per_host: Annotated[
        int, bounded(0, 100_000, "Maximum number of executions that wait for one offline host.")
    ] = _ENGINE.waiting_per_host
    live_output_executions: Annotated[
        int,
        bounded(
            1,
            10_000,
            "Maximum number of executions whose output is streamed while they run. Each takes "
            "`limits.live_output_bytes` of memory.",
        ),
    ] = 64
    live_output_bytes: Annotated[
        int, bounded(64 * KIB, 64 * MIB, "Bytes of the newest output kept for each execution that is streamed.")
    ] = 512 * KIB
    live_output_rate: Annotated[
        int,
        bounded(
            64 * KIB,
            GIB,
            "Bytes per second of live output that one agent may send. Output beyond it is skipped in the stream; the "
            "result still holds it, within the result's own limits.",
        ),
    ] = 640 * KIB
    live_output_rate_total: Annotated[
        int, bounded(64 * KIB, 4 * GIB, "Bytes per second of live output that all agents together may send.")
    ] = 5 * MIB
    attempts: Annotated[
        int, bounded(1, 100, "Maximum number of attempts per host that a task's retry policy may request.")
    ] = 10
    expression_chars: Annotated[
        int, bounded(64, MIB, "Maximum length of one selector or of one result filter, in characters.")
    ] = 64 * KIB
    selector_names: Annotated[
        int,
        bounded(
            1,
            1_000_000,
            "Maximum number of names to which all brackets in the selectors of a request expand, as in `web[001-480]`.",
        ),
    ] = 100_000
    selector_patterns: Annotated[
        int,
        bounded(1, 100_000, "Maximum number of patterns to which the brackets in one word with `*` or `?` expand."),
    ] = 1_000
    selector_comparisons: Annotated[
        int,
        bounded(
            1_000,
            5_000_000,
            "Maximum cost of evaluating the selectors of a request, in microseconds of CPU time. One microsecond "
            "compares about two texts with a pattern, or joins 16 host ids. The server evaluates in slices of 2 ms and "
            "does other work between them.",
        ),
    ] = 500_000
    hosts_per_task: Annotated[int, bounded(1, 1_000_000, "Maximum number of hosts of one task.")] = 20_000
    host_sets: Annotated[int, bounded(1, 10_000, "Maximum number of host sets.")] = 1_000
    command_bytes: Annotated[
        int, bounded(1, MIB, "Maximum size of a command, of a script, or of all words of an argv together.")
    ] = 64 * KIB
    parameters: Annotated[
        int,
        bounded(
            0,
            1024,
            "Maximum number of parameters of one task. The same limit applies to its environment variables.",
        ),
    ] = 64
    parameter_bytes: Annotated[
        int,
        bounded(1, 128 * KIB, "Maximum size of one parameter's value. Linux allows at most 128 KiB per string."),
    ] = 4 * KIB
    stdin_bytes: Annotated[int, bounded(0, 32 * MIB, "Maximum size of a command's standard input.")] = MIB
    timeout_max: Annotated[int, bounded(1, 31_536_000, "Maximum `timeout` that a task may request.")] = 2_592_000
