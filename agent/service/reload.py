"""Applies changed settings while the agent runs (SIGHUP). Everything is checked first: a bad file changes nothing."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from agent import policy
from agent.errors import AgentError
from agent.log import Log
from agent.policy import Policy
from agent.settings import Settings

APPLIED = frozenset(
    {
        "backoff_base",
        "backoff_max",
        "connect_timeout",
        "hello_timeout",
        "hostname",
        "labels",
        "log_level",
        "policy_file",
        "token_file",
    }
)
"""Settings that a reload applies. All others need a restart, which no command notices."""

Load = Callable[[], Settings]


class Reload:
    """Reloads the settings of one agent.

    Attributes:
        settings: The settings in use.
    """

    def __init__(
        self, settings: Settings, load: Load | None, use: Callable[[Settings, Policy], None], log: Log
    ) -> None:
        """Build the reload.

        Args:
            settings: The settings in use.
            load: Reads the settings again; None if they have no source, so that only the policy is read again.
            use: Uses new settings and rules, and connects again.
            log: The agent's log.
        """
        self.settings = settings
        self._load, self._use, self._log = load, use, log

    def run(self) -> bool:
        """Reload. Return False if something was wrong; the reason was logged, and nothing has changed."""
        try:
            new = self.settings if self._load is None else self._load()
            changed = {
                name for name in Settings.__struct_fields__ if getattr(new, name) != getattr(self.settings, name)
            }
            kept = {name: getattr(new, name) for name in changed & APPLIED}
            wanted = msgspec.structs.replace(self.settings, **kept)
            rules = policy.load(wanted.policy_file)
        except AgentError as error:
            self._log.error("reload_failed", why=error.message, remedy=error.hint)
            return False
        later = sorted(changed - APPLIED)
        if later:
            self._log.warning("restart_needed", settings=later)
        self._log.info("reloaded", settings=sorted(kept))
        self.settings = wanted
        self._use(wanted, rules)
        return True
