"""The on-disk cache; the only package that knows its files."""
