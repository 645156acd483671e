"""Training: the loop, its safeguards and its tasks."""
