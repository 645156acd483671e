"""Scores as table, figures and page."""
