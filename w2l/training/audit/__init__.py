"""Find tracks whose sound is out of sync: the audit stage."""
