"""Starts what starts the commands, and takes the boot id from it."""

from __future__ import annotations

from pathlib import Path

from agent.enrolment import facts
from agent.errors import AgentError, ShimsUnavailable
from agent.log import Log
from agent.shim.client import ForkServer, ForkServerLost
from agent.shim.system import limits, linux

LOOK_AT_SHIMS = "run 'systemctl status clarion-shims.socket clarion-shims.service', which shows the cause"


async def start_shims(forks: ForkServer, service: Path | None, log: Log) -> str:
    """Start the fork server; return the boot id as the shims see it, which this process then uses too.

    Args:
        forks: The fork server.
        service: Socket of the service that it belongs to; None if this process starts it.
        log: The agent's log.

    Raises:
        AgentError: The fork server cannot be started or used, or it cannot read the boot id.
    """
    try:
        await forks.start()
    except ForkServerLost as error:
        raise ShimsUnavailable(str(error), LOOK_AT_SHIMS) from error
    except OSError as error:
        if service is not None:
            raise ShimsUnavailable(f"shims_socket {service}: {limits.explain(error)}", LOOK_AT_SHIMS) from error
        if isinstance(error, FileNotFoundError | PermissionError):
            raise AgentError(
                f"the program that starts commands cannot be run: {limits.explain(error)}",
                "install the agent again; its interpreter must be where it was at the start",
            ) from error
        raise AgentError(
            f"no process can be started: {limits.explain(error)}",
            "check the limits of processes and memory on this machine",
        ) from error
    try:
        seen = await forks.boot_id()
    except ForkServerLost as error:
        raise AgentError(str(error), "start the agent again; if this repeats, install it again") from error
    except OSError as error:
        raise facts.no_boot_id(error) from error
    own = facts.shown_boot_id()
    if own != seen:
        # such as a sandbox of the agent's unit: results would become `lost`, although the host was not restarted
        log.warning("boot_ids_differ", shown_to_agent=own, shown_to_shims=seen, used=seen)
    linux.use_boot_id(seen)
    return seen
