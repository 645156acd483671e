"""The score stage: measure and compare lip sync."""
