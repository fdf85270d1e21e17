"""TODO mechanisms."""
