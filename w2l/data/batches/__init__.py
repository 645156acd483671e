"""From tracks of the cache to augmented batches."""
