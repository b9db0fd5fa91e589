"""The engine: pure rules of tasks, executions and hosts. It has no I/O and no clock."""
