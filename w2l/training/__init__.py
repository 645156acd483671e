"""Training: the loop, its guards and its tasks."""
