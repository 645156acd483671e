"""Scripts and recipes beside the package: quick start, benchmarks, and the research behind the published numbers."""
