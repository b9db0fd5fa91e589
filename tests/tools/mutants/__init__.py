"""One line of the program done wrong, and the tests that must notice: `make mutants` tries them all, `test_mutants.py`
that each still applies."""
