"""Networks, torch alone: no files, no settings, no losses."""
