"""Fixtures that the tests of several packages use."""

from __future__ import annotations

from hypothesis import settings

from tests.mariadb import authority, careless_mariadb, mariadb

__all__ = ["authority", "careless_mariadb", "mariadb"]

# The same examples on every run, so that a change is judged by what it changed; 'pytest --hypothesis-profile=explore'
# draws new ones and prints
# how to repeat what it found, which then becomes an @example of its test.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None, print_blob=True)
settings.load_profile("same")
