"""Neural networks; torch only: no files, no settings, no losses."""
