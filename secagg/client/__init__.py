"""The client: one single-use state for each stage, and the session that drives them with bytes."""
