"""Backups: a folder per backup with the database, the CA, tokens, settings and a manifest.

A backup is written into a folder whose name begins with a dot, verified, and then renamed. A folder with a final name
is therefore complete.
"""
