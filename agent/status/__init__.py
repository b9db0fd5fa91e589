"""The report of `clarion-agent status`: the connection, the certificate, and the journal of a state directory."""
