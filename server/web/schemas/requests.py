"""What clients send, as Structs. Types are checked here; what depends on settings or on other fields in `spec.py`.

Durations are seconds. Nothing beyond these fields is taken.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field


class RetryBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """When a host is tried again. Without `idempotent` nothing is ever run again that may have run."""

    attempts: Annotated[int, Meta(description="Attempts per host, the first included; at most limits.attempts.")]
    codes: Annotated[
        list[str] | None,
        Meta(
            description=(
                "Reasons (docs/reference/reasons.md) for which; by default all for which trying again can help, "
                "and with `idempotent` also those of a command that ran and did not succeed, or whose end cannot "
                "be known."
            ),
            examples=[["offline", "busy"]],
        ),
    ] = None
    backoff: Annotated[
        float,
        Meta(
            description=(
                "Seconds before the second attempt; doubled for each further one, and a random half of it taken off."
            )
        ),
    ] = 1.0
    backoff_max: Annotated[float, Meta(description="Seconds that no pause exceeds.")] = 60.0
    idempotent: Annotated[
        bool,
        Meta(
            description="Running the command twice does no harm, so that it may be tried again although it may have run."  # noqa: E501
        ),
    ] = False


class RerunBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which hosts of a task that has ended are to do it again."""

    only: Annotated[
        list[str] | None,
        Meta(
            description=(
                "Statuses of hosts, or `unsuccessful` (every host that did not complete), `not_started` (it "
                "certainly never ran: not started, or canceled before), `offline` (lost, or its host was offline) "
                "or `all`. With `hosts`: those of them. Default: `unsuccessful`, or with `hosts` all of these."
            ),
            examples=[["failed", "timeout"]],
        ),
    ] = None
    hosts: Annotated[list[str] | None, Meta(description="Hosts of the task, by id or name.")] = None
    name: Annotated[str | None, Meta(description="What to call the new task; by default like the old one.")] = None
    start: Annotated[bool, Meta(description="Start it at once.")] = True


class TaskBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """One command for many hosts. Exactly one of `command`, `argv` and `script` says what to run."""

    targets: Annotated[
        list[str],
        Meta(
            description=(
                "Hosts: ids, names, or selectors such as `web* and role=db`; `all` is every known host. The list "
                "is frozen at creation."
            ),
            examples=[["all"], ["web-1", "web-2"], ["web[01-12] and not role=db"]],
        ),
    ]
    name: Annotated[str | None, Meta(description="What to call it; by default the beginning of the command.")] = None
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
        str | None, Meta(description="Program that runs the script; by default the script's own first line decides.")
    ] = None
    args: Annotated[list[str], Meta(description="Arguments of the script, or of the shell text ($1, $2, …).")] = []
    parameters: Annotated[
        dict[str, str],
        Meta(
            description=(
                "Values for the command. Each reaches it as the environment variable `P_<name>`; none is ever "
                "pasted into shell text."
            )
        ),
    ] = {}
    env: Annotated[dict[str, str], Meta(description="Environment variables.")] = {}
    cwd: Annotated[str | None, Meta(description="Absolute path of the directory to run in.")] = None
    run_as: Annotated[str | None, Meta(description="User to run as; by default the agent's own.")] = None
    umask: Annotated[
        str | None,
        Meta(
            description='Octal text such as "022". A number is refused, because it does not say its base.',
            examples=["022"],
            extra_json_schema={"pattern": "^(0o)?0?[0-7]{1,3}$"},
        ),
    ] = None
    stdin: Annotated[str | None, Meta(description="Text for its standard input.")] = None
    stdin_base64: Annotated[
        str | None, Meta(description="Bytes for its standard input, in base64. Instead of `stdin`.")
    ] = None
    timeout: Annotated[float, Meta(description="Seconds it may run on one host.")] = 3600.0
    grace: Annotated[float, Meta(description="Seconds between SIGTERM and SIGKILL when it must end.")] = 5.0
    start_within: Annotated[
        float, Meta(description="Seconds within which the agent must have started it, or it never does.")
    ] = 60.0
    task_timeout: Annotated[
        float | None, Meta(description="Seconds for the whole task, from its start; none by default.")
    ] = None
    concurrency: Annotated[
        int | None,
        Meta(description="Hosts that may work on it at the same time; by default as many as the server allows."),
    ] = None
    if_offline: Annotated[
        Literal["fail", "wait"],
        Meta(
            description=(
                "`fail`: a host that is not connected when its turn comes has failed. `wait`: it is waited for, "
                "also when it has never been here, and gets its commands in order when it comes."
            )
        ),
    ] = "fail"
    wait_for: Annotated[float, Meta(description="Seconds from the task's start for which `wait` waits.")] = 3600.0
    retry: Annotated[RetryBody | None, Meta(description="When a host is tried again; null for never.")] = None
    max_output: Annotated[
        int,
        Meta(
            description=(
                "Bytes it may write before it is ended. 256 KiB from the head and as many from the tail are kept "
                "of each stream."
            )
        ),
    ] = 1 << 30
    leave_children: Annotated[
        bool | None,
        Meta(
            description=(
                "Leave processes alone that the command started and that outlive it; by default they are ended with it."
            )
        ),
    ] = None
    detach: Annotated[bool | None, Meta(description="The earlier name of `leave_children`; send one of the two.")] = (
        None
    )
    success_codes: Annotated[
        list[int], Meta(description="Exit codes, 0 to 255, that count as success; by default 0 alone.")
    ] = field(default_factory=lambda: [0])


class SelectBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which hosts are asked about."""

    targets: Annotated[
        list[str], Meta(description="As in a task: ids, names, or selectors.", examples=[["web* and role=db"]])
    ]
    sample: Annotated[int, Meta(description="How many hosts to list one by one, at most 500.")] = 20
    whole: Annotated[bool, Meta(description="Fold all names, however long the text becomes.")] = False


class CancelBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """What to end of a task."""

    hosts: Annotated[
        list[str] | None,
        Meta(
            description="Only on these hosts of the task, by id or name; by default on all of them.",
            examples=[["web-1"]],
        ),
    ] = None
    force: Annotated[
        bool,
        Meta(
            description=(
                "Give up hosts that are away, at once: their rows become `lost`, and what they run may go on "
                "running. A host that is connected is asked as ever."
            )
        ),
    ] = False


class HostBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """A host to be known before its agent has ever connected."""

    hostname: str
    labels: Annotated[dict[str, str], Meta(description="Labels given by operators.")] = {}


class HostPatch(Struct, kw_only=True, forbid_unknown_fields=True):
    """A change of a host's labels or of its name."""

    labels: Annotated[
        dict[str, str | None],
        Meta(
            description="Labels to set; null takes one away; those not named stay.",
            examples=[{"env": "prod", "old": None}],
        ),
    ] = {}
    hostname: Annotated[
        str | UnsetType | None,
        Meta(
            description="Its new name, which goes before what its agent calls it; null takes that back.",
            examples=["web-db"],
        ),
    ] = UNSET


class ReplaceBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which host takes another's place."""

    by: Annotated[str, Meta(description="The id or name of the host that takes its place.")]


class LoginBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """A token, for a session."""

    token: Annotated[str, Meta(description="Of the form cl_ID_SECRET.", max_length=400)]


class JoinTokenBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """A token with which hosts join."""

    ttl: Annotated[float, Meta(description="Seconds for which it is good.")] = 1800.0
    uses: Annotated[int, Meta(description="How many hosts may join with it.")] = 1
    labels: Annotated[
        dict[str, str], Meta(description="Labels for every host that joins with it.", examples=[{"env": "prod"}])
    ] = {}
    networks: Annotated[
        list[str],
        Meta(
            description="Addresses from which hosts may join, as CIDR blocks; none for any. At most 16.",
            examples=[["10.1.0.0/16"]],
        ),
    ] = []
    approve: Annotated[bool, Meta(description="Each join waits until an operator approves it.")] = False
    replace: Annotated[
        bool,
        Meta(
            description=(
                "A host that joins with it takes the place of hosts of its name that are offline: for machines "
                "that were set up anew."
            )
        ),
    ] = False


class HostSetBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """A host set: either a selector or a list of hosts. What a change leaves out stays."""

    selector: Annotated[
        str | None, Meta(description="The selector; it may name other sets.", examples=["web* and env=prod"])
    ] = None
    hosts: Annotated[
        list[str] | None, Meta(description="Names or ids of hosts. The list keeps their ids.", examples=[["web1"]])
    ] = None
    description: Annotated[str | None, Meta(description="For people; at most 4,000 characters.")] = None


class NewHostSetBody(HostSetBody, kw_only=True, forbid_unknown_fields=True):
    """A new host set."""

    name: Annotated[
        str,
        Meta(
            description="A lower-case letter, then at most 63 lower-case letters, digits and hyphens.", examples=["web"]
        ),
    ]
