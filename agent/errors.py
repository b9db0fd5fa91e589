"""Errors that stop the agent. Each has one sentence, one remedy and one exit code."""

from __future__ import annotations


class AgentError(Exception):
    """Base of the agent's errors.

    Attributes:
        exit_code: Exit code of the process; 64 and above as in sysexits.h.
    """

    exit_code = 70

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


class BadSettings(AgentError):
    """A setting is missing, unknown or wrong."""

    exit_code = 78


class TokenUnreadable(AgentError):
    """The token file cannot be read or holds no token."""

    exit_code = 77


class StateUnusable(AgentError):
    """The state directory, or a file in it, cannot be used."""

    exit_code = 73


class StateInUse(AgentError):
    """Another agent uses this state directory."""

    exit_code = 75


class NoState(AgentError):
    """The directory contains no agent state."""

    exit_code = 66


class NotJoined(AgentError):
    """The state directory contains no certificate."""

    exit_code = 77


class JoinFailed(AgentError):
    """The server cannot be reached or refuses this host."""

    exit_code = 69


class ShimsUnavailable(AgentError):
    """The shims service cannot be reached, or this agent cannot work with it."""

    exit_code = 69


class KernelUnsuitable(AgentError):
    """The kernel, or the sandbox of the agent, lacks something that the agent needs."""

    exit_code = 71


class PinMismatch(AgentError):
    """The peer's certificate is not signed by the CA with the given pin."""

    exit_code = 77
