"""What `clarion-agent status` shows: the connection, the certificate, and the journal of a state directory."""
