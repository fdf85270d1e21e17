"""TODO accounting."""
