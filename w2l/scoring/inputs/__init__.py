"""What is scored: clips, their references and records."""
