"""TODO app/demo."""
