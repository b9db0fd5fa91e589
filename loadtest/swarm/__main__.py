"""Entry point of a process of simulated hosts."""

from __future__ import annotations

from loadtest.swarm.control import main

if __name__ == "__main__":
    main()
