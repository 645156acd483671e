"""Jobs that wait in a line and survive: each is a sync or a score in a process of its own, kept in the cache."""
