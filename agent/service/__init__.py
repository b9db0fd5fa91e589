"""What the agent does as a service: reload, watchdog, and checks at its start."""
