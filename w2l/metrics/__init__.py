"""Measures, pure on arrays."""
