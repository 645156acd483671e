"""Clips to face crops and mels in the cache: the preprocess stage."""
