"""Foundations without a subject of their own: errors, logs, settings, files, locks, jobs."""
