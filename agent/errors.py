"""What can keep the agent from running: one sentence, one remedy, one exit code each."""

from __future__ import annotations


class AgentError(Exception):
    """exit_code: what the process returns; 64 and above as in sysexits.h."""

    exit_code = 70

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


class BadSettings(AgentError):
    """A setting is missing, unknown or wrong."""

    exit_code = 78


class TokenUnreadable(AgentError):
    exit_code = 77


class StateUnusable(AgentError):
    """The state directory, or a file in it, cannot be used."""

    exit_code = 73


class StateInUse(AgentError):
    """Another agent runs on this state directory."""

    exit_code = 75


class NoState(AgentError):
    """There is no agent's state in this directory."""

    exit_code = 66


class NotJoined(AgentError):
    """There is no certificate in the state directory."""

    exit_code = 77


class JoinFailed(AgentError):
    """The server cannot be reached, or does not let this host join."""

    exit_code = 69


class PinMismatch(AgentError):
    """Who answers is not signed by the CA that was named."""

    exit_code = 77
