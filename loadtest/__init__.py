"""The load-test harness: thousands of simulated agents against a real server, and a check of every single result.

It knows the server only by its REST API, its agent port and /proc.
"""
