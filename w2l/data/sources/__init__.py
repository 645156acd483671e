"""Which clips a folder, a dataset or a list names."""
