"""Checks of names and numbers that come from outside."""
