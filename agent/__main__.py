"""Entry point of `python -m agent`, the same as `clarion-agent`."""

from __future__ import annotations

from agent.main import main

main()
