"""Runs all checks of the agent."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from agent import __version__, policy
from agent.doctor import machine, network, shims, unit
from agent.errors import AgentError
from agent.settings import Settings
from agent.status import connection as connection_record
from agent.storage.lock import held, holder
from proto.common.checkup import Finding, run


def examine(settings: Settings) -> list[Finding]:
    """Return the findings. Nothing is changed."""
    return list(
        run(
            [
                ("kernel", machine.kernel_calls),
                ("proc", machine.proc),
                ("cgroup", machine.control_groups),
                ("unit", partial(unit.service, settings)),
                ("shims", partial(shims.service, settings)),
                ("ulimit", partial(machine.resources, settings)),
                ("state", partial(machine.state_directory, settings)),
                ("disk", partial(machine.disk, settings)),
                ("policy", partial(rules, settings)),
                ("joined", partial(network.joined, settings)),
                ("certificate", partial(network.certificate, settings)),
                ("server", partial(network.connection, settings)),
                ("agent", partial(running, settings)),
            ]
        )
    )


def rules(settings: Settings) -> Iterator[Finding]:
    """Check that the policy can be read."""
    try:
        policy.load(settings.policy_file)
    except AgentError as error:
        yield Finding("policy", "error", error.message, error.hint)
        return
    yield Finding(
        "policy", "ok", f"{settings.policy_file}" if settings.policy_file else "no policy file, no restrictions"
    )


def running(settings: Settings) -> Iterator[Finding]:
    """Check that the agent runs, is connected, and is of the installed version."""
    pid = holder(settings.state) if held(settings.state) else None
    if pid is None:
        yield Finding("agent", "warning", "the agent does not run", "start it with 'systemctl start clarion-agent'")
        return
    found = connection_record.read(settings.state)
    if found is None or found.pid != pid:
        yield Finding("agent", "warning", f"the agent (pid {pid}) does not show its connection", "restart the agent")
        return
    if found.version != __version__:
        yield Finding(
            "version", "warning", f"version {found.version} runs, {__version__} is installed", "restart the agent"
        )
    else:
        yield Finding("version", "ok", f"version {__version__} runs")
    if found.state == "connected":
        yield Finding("agent", "ok", f"the agent (pid {pid}) is connected to {found.server}")
    else:
        yield Finding(
            "agent",
            "error",
            f"the agent (pid {pid}) is not connected to {found.server}{f': {found.why}' if found.why else ''}",
            "the checks dns, tcp, tls and certificate show the cause, or the log of the server",
        )
