"""Pages and charts, shared by all commands."""
