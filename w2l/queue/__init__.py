"""Jobs that wait in a line and survive: each is a `w2l sync` in a process of its own, kept in the cache."""
