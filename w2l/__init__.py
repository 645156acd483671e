"""Lip sync: the parts that the stages are told with."""
