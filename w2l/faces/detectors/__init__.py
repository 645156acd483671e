"""Face detectors with a common interface, and the landmarks that refine them."""
