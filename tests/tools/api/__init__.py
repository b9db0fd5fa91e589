"""The API as its users' tools see it."""
