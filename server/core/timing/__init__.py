"""Deadlines and what depends on them."""
