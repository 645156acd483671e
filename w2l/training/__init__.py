"""Losses, the training loop, checkpoints and validation."""
