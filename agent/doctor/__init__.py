"""`clarion-agent doctor`: checks what the agent needs from its machine and from the network."""
