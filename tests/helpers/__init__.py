"""Media, caches and runs that several tests make."""
