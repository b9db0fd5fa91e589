"""Request bodies, as Structs. They check types; `server/web/service` checks what depends on settings or other fields.

Durations are in seconds. Unknown fields are refused.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field


class RetryBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """Rules for retrying a host. Without `idempotent`, a command that may have run is never run again."""

    attempts: Annotated[int, Meta(description="Attempts per host, including the first; at most limits.attempts.")]
    codes: Annotated[
        list[str] | None,
        Meta(
            description=(
                "Reasons (docs/reference/reasons.md) for which a host is retried. By default all for which a "
                "retry can help; with `idempotent` also those of commands that ran without success, or whose end"
                " is unknown."
            ),
            examples=[["offline", "busy"]],
        ),
    ] = None
    backoff: Annotated[
        float,
        Meta(
            description=(
                "Seconds before the second attempt. The pause doubles for each further attempt, and up to half "
                "of it is subtracted at random."
            )
        ),
    ] = 1.0
    backoff_max: Annotated[float, Meta(description="Maximum pause, in seconds.")] = 60.0
    idempotent: Annotated[
        bool,
        Meta(description="Running the command twice is harmless, so it is also retried if it may have run."),
    ] = False


class RerunBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """Selects the hosts of a finished task that run the command again."""

    only: Annotated[
        list[str] | None,
        Meta(
            description=(
                "Statuses of hosts, or `unsuccessful` (did not complete), `not_started` (certainly never ran: "
                "not started, or canceled before the start), `offline` (lost, or the host was offline) or `all`."
                " With `hosts`, only those of them. Default: `unsuccessful`; with `hosts`: `all`."
            ),
            examples=[["failed", "timeout"]],
        ),
    ] = None
    hosts: Annotated[list[str] | None, Meta(description="Hosts of the task, by id or name.")] = None
    name: Annotated[str | None, Meta(description="Name of the new task; by default the name of the old one.")] = None
    start: Annotated[bool, Meta(description="Start the new task at once.")] = True


class TaskBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """One command for many hosts. Exactly one of `command`, `argv` and `script` says what to run."""

    targets: Annotated[
        list[str],
        Meta(
            description=(
                "Hosts: ids, names, or selectors such as `web* and role=db`; `all` selects every known host. The"
                " list is fixed when the task is created."
            ),
            examples=[["all"], ["web-1", "web-2"], ["web[01-12] and not role=db"]],
        ),
    ]
    name: Annotated[str | None, Meta(description="Name of the task; by default the beginning of the command.")] = None
    description: str = ""
    type: Annotated[str, Meta(description="A word to group tasks by: lower-case letters, digits, - and _.")] = "command"
    command: Annotated[
        str | None, Meta(description="Shell text, run by /bin/sh -c on the host.", examples=["uname -a"])
    ] = None
    argv: Annotated[
        list[str] | None,
        Meta(description="A program and its arguments; no shell is involved.", examples=[["uname", "-a"]]),
    ] = None
    script: Annotated[str | None, Meta(description="The text of a script, run by `interpreter` with `args`.")] = None
    interpreter: Annotated[
        str | None, Meta(description="Program that runs the script; by default the one in the script's first line.")
    ] = None
    args: Annotated[list[str], Meta(description="Arguments of the script, or of the shell text ($1, $2, …).")] = []
    parameters: Annotated[
        dict[str, str],
        Meta(
            description=(
                "Values for the command. Each is passed as the environment variable `P_<name>`; none is inserted"
                " into shell text."
            )
        ),
    ] = {}
    env: Annotated[dict[str, str], Meta(description="Environment variables.")] = {}
    cwd: Annotated[str | None, Meta(description="Absolute path of the directory to run in.")] = None
    run_as: Annotated[str | None, Meta(description="User to run as; by default the agent's user.")] = None
    umask: Annotated[
        str | None,
        Meta(
            description='Octal text such as "022". A number is refused, because its base is ambiguous.',
            examples=["022"],
            extra_json_schema={"pattern": "^(0o)?0?[0-7]{1,3}$"},
        ),
    ] = None
    stdin: Annotated[str | None, Meta(description="Text for the standard input.")] = None
    stdin_base64: Annotated[
        str | None, Meta(description="Bytes for the standard input, in base64; an alternative to `stdin`.")
    ] = None
    timeout: Annotated[float, Meta(description="Time limit on one host, in seconds.")] = 3600.0
    grace: Annotated[float, Meta(description="Seconds between SIGTERM and SIGKILL when the command is ended.")] = 5.0
    start_within: Annotated[
        float, Meta(description="Seconds within which the agent must start the command; later it does not start it.")
    ] = 60.0
    task_timeout: Annotated[
        float | None, Meta(description="Time limit for the whole task, in seconds from its start; by default none.")
    ] = None
    concurrency: Annotated[
        int | None,
        Meta(description="Maximum number of hosts that run the command at once; by default the server's limit."),
    ] = None
    if_offline: Annotated[
        Literal["fail", "wait"],
        Meta(
            description=(
                "`fail`: a host that is offline when its turn comes fails. `wait`: the server waits for the "
                "host, even if it has never connected, and sends its commands in order when it connects."
            )
        ),
    ] = "fail"
    wait_for: Annotated[float, Meta(description="With `wait`: seconds to wait, from the task's start.")] = 3600.0
    retry: Annotated[RetryBody | None, Meta(description="When a host is retried; null for never.")] = None
    max_output: Annotated[
        int,
        Meta(
            description=(
                "Bytes that the command may write before it is ended. 256 KiB of the head and of the tail of "
                "each stream are stored."
            )
        ),
    ] = 1 << 30
    leave_children: Annotated[
        bool | None,
        Meta(description="Do not end processes that outlive the command; by default they are ended with it."),
    ] = None
    detach: Annotated[bool | None, Meta(description="The earlier name of `leave_children`; send one of the two.")] = (
        None
    )
    success_codes: Annotated[
        list[int], Meta(description="Exit codes, 0 to 255, that count as success; by default only 0.")
    ] = field(default_factory=lambda: [0])


class SelectBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """A selection of hosts."""

    targets: Annotated[
        list[str], Meta(description="As in a task: ids, names, or selectors.", examples=[["web* and role=db"]])
    ]
    sample: Annotated[int, Meta(description="Number of hosts to list one by one, at most 500.")] = 20
    whole: Annotated[bool, Meta(description="Fold all names, without a limit on the length of the text.")] = False


class CancelBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """The hosts of a task to cancel."""

    hosts: Annotated[
        list[str] | None,
        Meta(
            description="Only these hosts of the task, by id or name; by default all of them.",
            examples=[["web-1"]],
        ),
    ] = None
    force: Annotated[
        bool,
        Meta(
            description=(
                "Mark hosts that are offline as `lost` at once; their processes may keep running. Hosts that are"
                " online are canceled as usual."
            )
        ),
    ] = False


class HostBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """A host that is created before its agent connects."""

    hostname: str
    labels: Annotated[dict[str, str], Meta(description="Labels set by operators.")] = {}


class HostPatch(Struct, kw_only=True, forbid_unknown_fields=True):
    """A change of a host's labels or of its name."""

    labels: Annotated[
        dict[str, str | None],
        Meta(
            description="Labels to set; null removes a label; other labels stay.",
            examples=[{"env": "prod", "old": None}],
        ),
    ] = {}
    hostname: Annotated[
        str | UnsetType | None,
        Meta(
            description=("New name, which overrides the name that the agent reports; null restores the agent's name."),
            examples=["web-db"],
        ),
    ] = UNSET


class ReplaceBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """The host that replaces another one."""

    by: Annotated[str, Meta(description="Id or name of the new host.")]


class LoginBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """A token to log in with."""

    token: Annotated[str, Meta(description="A token of the form cl_ID_SECRET.", max_length=400)]


class JoinTokenBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """The properties of a new join token."""

    ttl: Annotated[float, Meta(description="How long the token is valid, in seconds.")] = 1800.0
    uses: Annotated[int, Meta(description="Number of hosts that may join with it.")] = 1
    labels: Annotated[
        dict[str, str],
        Meta(description="Labels for every host that joins with it.", examples=[{"env": "prod"}]),
    ] = {}
    networks: Annotated[
        list[str],
        Meta(
            description="CIDR blocks from which hosts may join, at most 16; empty allows all addresses.",
            examples=[["10.1.0.0/16"]],
        ),
    ] = []
    approve: Annotated[bool, Meta(description="Each join waits until an operator approves it.")] = False
    replace: Annotated[
        bool,
        Meta(
            description=(
                "A host that joins with it replaces offline hosts that have the same name. For reinstalled machines."
            )
        ),
    ] = False
