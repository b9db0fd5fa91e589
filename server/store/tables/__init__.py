"""The declarations of all tables."""
