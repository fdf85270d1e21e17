"""TODO app/bench."""
