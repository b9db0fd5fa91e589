"""Mutation tests: `make mutants` breaks one line at a time and requires a failing test; `test_mutants.py` checks the
table.
"""
