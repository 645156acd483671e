"""Library behind the `w2l` command: lip sync, training and measurement."""
