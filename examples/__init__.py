"""Scripts and recipes beside the package: what a user runs, benchmarks, and the scripts behind the numbers."""
