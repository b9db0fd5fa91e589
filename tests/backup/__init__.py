"""Backups, restores, and the backup before a change of the schema."""
