"""One process of simulated hosts."""

from __future__ import annotations

import gc

from loadtest.swarm.control import main

if __name__ == "__main__":
    # nothing here makes cycles; collections would only show up as pauses of all hosts at once
    gc.disable()
    main()
