"""Measure and compare lip sync: the score stage."""
