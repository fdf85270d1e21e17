"""TODO renyi."""
