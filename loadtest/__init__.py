"""Load-test harness: thousands of simulated agents against a real server, and a check of every result.

It uses only the server's REST API, its agent port and /proc.
"""
