"""The sync stage: make one output from one video and one speech."""
