"""Tracks of the cache to augmented batches."""
