"""Clarion's agent: takes commands from the server's stream, has them run and brings back every answer."""

__version__ = "0.1.0"
