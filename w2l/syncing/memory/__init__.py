"""The person's own mouths as references. A "look" is one sampled crop of a face with its measurements."""
