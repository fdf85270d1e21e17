"""TODO shares."""
