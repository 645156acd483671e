"""Find, track, select and follow faces."""
