"""The train stage: train the generator."""
