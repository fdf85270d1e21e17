"""TODO app/run."""
