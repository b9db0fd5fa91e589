"""Clarion's agent: receives commands from the server, runs them and sends back the results."""

__version__ = "0.1.0"
