"""Checks the API with the tools of its users."""
