"""Speed and memory of the parts: `python -m examples.benchmarks NAME`, from the root of the repository."""
