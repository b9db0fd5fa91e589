"""The agent's decisions as pure code: no clock, files, sockets or trio."""
