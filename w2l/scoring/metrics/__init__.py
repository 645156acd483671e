"""Measures of sync and picture quality, pure on arrays."""
