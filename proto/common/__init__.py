"""Small helpers that the server, the agent, the CLI and the load test share. They import nothing of the project."""
