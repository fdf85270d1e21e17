"""TODO app/audit."""
