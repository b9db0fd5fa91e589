"""Applies changed settings while the server runs. Everything is checked first: a bad file changes nothing."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import structlog

from server.core.events import LimitsChanged
from server.lifecycle import wiring
from server.lifecycle.agent_access import AgentAccess
from server.ops import logs
from server.security.failure import InitFailed
from server.security.init import ensure_token, read_token
from server.security.tokens import Kind, Token
from server.settings.faults import Fault, SettingsError
from server.settings.rules import broken, value_of
from server.settings.schema import Loaded, Settings
from server.settings.table import plain, rows
from server.web.readmodel.deps import Deps

log = structlog.get_logger(__name__)

_WEB = (
    "answers_kept event_beat max_event_streams max_json_depth max_json_keys max_json_values page_size_max "
    "search_max_bytes search_max_outputs search_max_tasks viewer_updates wait_max write_timeout"
)
_LIVENESS = (
    "elapsed_checkpoint_interval lost_after mass_silence_hosts mass_silence_pause mass_silence_share "
    "mass_silence_window unanswered_after watchdog_margin"
)
APPLIED = frozenset(
    [
        "log.level",
        *(key for key in rows() if key.startswith("limits.")),
        *(f"http.{name}" for name in _WEB.split()),
        *(f"liveness.{name}" for name in _LIVENESS.split()),
    ]
)
"""Settings that a reload applies. All others need a restart, because connections and threads are built with them."""


Tokens = dict[str, Token]


def read_tokens(settings: Settings) -> tuple[Tokens, Tokens]:
    """Return the tokens, and those that can only read, by name.

    Raises:
        InitFailed: A token file cannot be used.
    """
    return (
        {"admin": read_token(settings.admin_token, Kind.API)},
        {"metrics": ensure_token(settings.metrics_token, Kind.API)},
    )


def of_server(settings: Settings, load: Callable[[], Loaded] | None, deps: Deps, access: AgentAccess | None) -> Reload:
    """Return what SIGHUP reloads in a server.

    Args:
        settings: The settings in use.
        load: Reads the settings again; None if they have no source, so that only tokens and certificates are reloaded.
        deps: The parts that use limits and tokens.
        access: The certificates; None if the agent port is plaintext.
    """

    def refresh() -> None:
        tokens = read_tokens(settings)
        if access is not None:
            access.reload_certificates()
        deps.tokens.replace(*tokens)

    def use(wanted: Settings) -> None:
        logs.configure(wanted.log.level)
        deps.limits = wiring.web_limits(wanted)
        deps.engine.submit(LimitsChanged(wiring.engine_limits(wanted)))
        deps.watching.use_limits(wiring.watch_limits(wanted))

    return Reload(settings, load or (lambda: Loaded(settings=settings, sources={})), refresh, use)


class Reload:
    """Reloads the settings of one server.

    Args:
        settings: The settings in use.
        load: Reads the settings again from their sources.
        refresh: Reads tokens and certificates again and uses them. Called first; if it fails, nothing else changes.
        use: Uses new settings. It cannot fail.

    Attributes:
        settings: The settings in use.
    """

    def __init__(
        self,
        settings: Settings,
        load: Callable[[], Loaded],
        refresh: Callable[[], None],
        use: Callable[[Settings], None],
    ) -> None:
        self.settings = settings
        self._load, self._refresh, self._use = load, refresh, use

    def run(self) -> bool:
        """Reload. Return False if something was wrong; the reason was logged, and no setting has changed."""
        try:
            loaded = self._load()
            changed = _changes(self.settings, loaded.settings)
            wanted = _with(self.settings, loaded.settings, changed & APPLIED)
            _check(wanted, loaded)
            self._refresh()
        except SettingsError as error:
            log.error("reload_failed", faults=[str(fault) for fault in error.faults])
            return False
        except InitFailed as error:
            log.error("reload_failed", faults=[str(error)], hint=error.hint)
            return False
        self._use(wanted)
        self.settings = wanted
        later = sorted(changed - APPLIED)
        if later:
            log.warning("restart_needed", settings=later)
        log.info("reloaded", settings=sorted(changed & APPLIED))
        return True


def _changes(old: Settings, new: Settings) -> set[str]:
    return {key for key in rows() if value_of(old, key) != value_of(new, key)}


def _with(old: Settings, new: Settings, keys: set[str]) -> Settings:
    """Return `old` with the values that `new` has for these keys."""
    changed = old
    for key in keys:
        section, _, name = key.partition(".")
        inner = msgspec.structs.replace(getattr(changed, section), **{name: value_of(new, key)})
        changed = msgspec.structs.replace(changed, **{section: inner})
    return changed


def _check(wanted: Settings, loaded: Loaded) -> None:
    """Check the rules between settings for the mixture of applied and unchanged settings.

    Raises:
        SettingsError: A new value goes only with another one that needs a restart.
    """
    faults = [
        Fault(
            key=key,
            source=loaded.sources.get(key, "default"),
            message=f"{message}; another setting that this one depends on needs a restart",
            shown=plain(value_of(wanted, key)),
        )
        for key, message in broken(wanted, lambda key: loaded.sources.get(key, "default") != "default")
    ]
    if faults:
        raise SettingsError(faults)
