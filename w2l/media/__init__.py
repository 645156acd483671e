"""Containers in and out, through PyAV alone."""
