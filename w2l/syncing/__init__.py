"""One video and one speech to one output: the sync stage."""
