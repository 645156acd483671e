"""The audit stage: find tracks whose audio is out of sync."""
