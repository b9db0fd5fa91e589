"""Explains an import that fails because Clarion was installed without one of its extras."""

from __future__ import annotations

EXTRAS = {
    "httpx": "cli",
    "rich": "cli",
    "yaml": "cli",
    "google": "server",
    "hypercorn": "server",
    "prometheus_client": "server",
    "quart": "server",
    "quart_trio": "server",
    "structlog": "server",
    "trio_mysql": "server",
}
"""Top-level module of each dependency in the extras of pyproject.toml, and the extra that installs it."""


def missing_package(error: ModuleNotFoundError) -> tuple[str, str] | None:
    """Return what is missing and what to do.

    Args:
        error: The failed import.

    Returns:
        A message and a remedy; None if the module belongs to no extra, which is then a fault of the program.
    """
    module = (error.name or "").partition(".")[0]
    extra = EXTRAS.get(module)
    if extra is None:
        return None
    return (
        f"the Python package '{module}' is not installed; it belongs to the extra '{extra}' of Clarion",
        f"install it with: pip install 'clarion[{extra}]'",
    )
