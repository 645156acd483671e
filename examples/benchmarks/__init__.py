"""Benchmarks of speed and memory: `python -m examples.benchmarks NAME`, from the root of the repository."""
