"""Curves, sheets and pages of a training run."""
