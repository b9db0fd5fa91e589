"""The known hosts and their sessions, in memory."""
