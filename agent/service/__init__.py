"""The agent as a system service: reload, watchdog, checks at the start, and the shims service."""
