"""Deterministic simulation of server and agents under faults."""
