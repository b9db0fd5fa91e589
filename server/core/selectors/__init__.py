"""The language that selects hosts: its grammar, its evaluation and the host directory."""
