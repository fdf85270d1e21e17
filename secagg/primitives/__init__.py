"""TODO primitives."""
