"""`python -m agent` is `clarion-agent`."""

from __future__ import annotations

from agent.main import main

main()
