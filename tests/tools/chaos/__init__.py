"""Fault injection on real processes, with a check of every result."""
