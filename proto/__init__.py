"""The agent protocol, and the words and rules that server, agent and clients share."""
