"""Measurements and counts of the engine."""
