"""Fixtures that several rooms' tests use."""

from __future__ import annotations

from tests.mariadb import authority, careless_mariadb, mariadb

__all__ = ["authority", "careless_mariadb", "mariadb"]
