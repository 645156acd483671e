"""The preprocess stage: from clips to face crops and mels in the cache."""
