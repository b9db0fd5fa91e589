"""Simulated agents: thousands in one process, with the protocol rules of the real one and nothing of its machinery."""
