"""Errors in settings, collected so that an operator sees all of them at once."""

from __future__ import annotations

from msgspec import Struct


class Fault(Struct, frozen=True, kw_only=True):
    """One error in one setting.

    Attributes:
        key: The dotted key, or the name of the flag or variable.
        source: Where the value comes from, as in `Loaded.sources`.
        message: What is wrong and how to correct it.
        shown: The value as text; None where the value might be a secret.
    """

    key: str
    source: str
    message: str
    shown: str | None = None

    def __str__(self) -> str:
        value = "" if self.shown is None else f" = {self.shown}"
        return f"{self.key}{value} ({self.source}): {self.message}"


class SettingsError(Exception):
    """The settings have at least one error; `faults` holds every error found."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = faults
        super().__init__("\n".join(str(fault) for fault in faults))
