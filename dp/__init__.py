"""Differential privacy for secure aggregation. Nothing is public yet."""
