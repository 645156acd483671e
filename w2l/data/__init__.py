"""What a sample is and where it is read from."""
