"""The scripts behind the numbers: `python -m examples.research.NAME`, from the root of the repository."""
