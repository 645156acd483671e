"""Foundations shared by all packages: errors, logging, settings, files, locks and jobs."""
