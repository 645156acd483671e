"""Inputs of the score stage: clips, their references and records."""
