"""`clarion-server doctor` and `clarion-agent doctor`."""
