"""TODO arrays."""
